/**
 * The pool directory as the rest of the Worker sees it. Like tenant-store-contract.ts, this file
 * uses no platform type.
 */
import type { Heartbeat } from '#shared/protocol/heartbeat.ts';
import type { PoolReport } from '#shared/protocol/pool-report.ts';
import type { Hearing } from './pool-membership.ts';

type RegisteredBackend = {
  report: PoolReport;
  /** How long ago that was, when the list was made. */
  ageMs: number;
  /** Unix milliseconds, by the directory's clock: its last heartbeat, and its process's first. */
  heardAtMs: number;
  sinceMs: number;
};

/** An operator's order that a backend gets nothing new. It holds for a backend in BACKENDS too. */
export type Drain = { url: string; by: string; atMs: number };

export type PoolListing = { backends: RegisteredBackend[]; drains: Drain[] };

export interface PoolDirectoryContract {
  /** `drain` says whether the operator has drained this backend. */
  heard(heartbeat: Heartbeat): Promise<{ hearing: Hearing; drain: boolean }>;
  list(): Promise<PoolListing>;
  /** Returns false if nothing changed. */
  drain(url: string, by: string): Promise<boolean>;
  undrain(url: string): Promise<boolean>;
}

export type PoolDirectoryBinding = { POOL_DIRECTORY: { getByName(name: string): PoolDirectoryContract } };

/** The one object that knows all backends. */
export function poolDirectory(env: PoolDirectoryBinding): PoolDirectoryContract {
  return env.POOL_DIRECTORY.getByName('pool');
}
