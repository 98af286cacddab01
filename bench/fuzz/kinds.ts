/** Every kind of input that the fuzz makes up. */
import { adminCalls } from './admin-calls.ts';
import { cacheKeys, cacheReplays } from './answer-caches.ts';
import { backendRequests } from './backend-requests.ts';
import { expertMessages } from './expert-messages.ts';
import type { FuzzKind } from './fuzz-kind.ts';
import { hostileBackends } from './hostile-backend.ts';
import { hostileExperts } from './hostile-experts.ts';
import { directives, frames, policies, receipts } from './parsers.ts';
import { bodies, headers } from './requests.ts';

type Kind = {
  open: FuzzKind;
  /** About what a case takes, in milliseconds. The cases of a run are shared out by it. */
  caseMs: number;
};

export const KINDS = {
  bodies: { open: bodies, caseMs: 10 },
  headers: { open: headers, caseMs: 8 },
  admin: { open: adminCalls, caseMs: 10 },
  hostile: { open: hostileBackends, caseMs: 200 },
  backend: { open: backendRequests, caseMs: 10 },
  experts: { open: expertMessages, caseMs: 15 },
  rows: { open: hostileExperts, caseMs: 4 },
  policies: { open: policies, caseMs: 2 },
  directives: { open: directives, caseMs: 0.5 },
  frames: { open: frames, caseMs: 0.3 },
  receipts: { open: receipts, caseMs: 0.5 },
  'cache-keys': { open: cacheKeys, caseMs: 0.3 },
  'cache-replays': { open: cacheReplays, caseMs: 0.5 },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;
// The cast: Object.keys forgets which.
export const KIND_NAMES = Object.keys(KINDS) as KindName[];
