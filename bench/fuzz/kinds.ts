/** Every kind of input that the fuzz makes up. */
import { adminCalls } from './admin-calls.ts';
import { backendRequests } from './backend-requests.ts';
import type { FuzzKind } from './fuzz-kind.ts';
import { hostileBackends } from './hostile-backend.ts';
import { directives, frames, policies, receipts } from './parsers.ts';
import { bodies, headers } from './requests.ts';

export const KINDS = {
  bodies,
  headers,
  admin: adminCalls,
  hostile: hostileBackends,
  backend: backendRequests,
  policies,
  directives,
  frames,
  receipts,
} as const satisfies Record<string, FuzzKind>;

export type KindName = keyof typeof KINDS;
// The cast: Object.keys forgets which.
export const KIND_NAMES = Object.keys(KINDS) as KindName[];
