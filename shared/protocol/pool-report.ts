/**
 * What a backend says about itself to the pool directory: what it serves, how much fits, and how
 * busy it is. Every heartbeat carries all of it, so a directory that has forgotten a backend knows
 * it again after one heartbeat.
 */
import * as z from 'zod';
import { PLAIN_SAMPLING, Sampling } from '#shared/api/sampling.ts';
import { MODES } from '#shared/line/line.ts';
import { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { ROLES } from './expert-directive.ts';
import { ExpertKinds } from './expert-kind.ts';
import { REGIONS } from './regions.ts';

/** The part that `/healthz` says too, and on which the edge acts. */
export const ServedModel = z.object({
  /** The backend's name in answers and receipts. */
  backend: z.string(),
  model: z.string(),
  context_length: z.int(),
  /** UTF-8 bytes of its longest token. */
  max_token_bytes: z.int().min(1),
  /** When its bundle was made, in Unix seconds. */
  created: z.int().optional(),
  /** The name of its weights, as receipts use it. */
  bundle: z.string().optional(),
  /** The public id of its draw secret. */
  draws: z.string().optional(),
  /** The modes that its bundle has routers for. We leave out modes that this edge does not know. */
  modes: z
    .array(z.string())
    .transform((modes) => MODES.filter((mode) => modes.includes(mode)))
    .default(['logits']),
  /** The experts whose rows it gives to an edge that mixes them itself. */
  serves: z
    .array(z.string())
    .transform((roles) => ROLES.filter((role) => roles.includes(role)))
    .default([]),
  /** The version of the probe that looks at prompts a second time; null if its bundle has none. */
  second_look: z.string().nullable().default(null),
  /** Whether its bundle has reward and cost heads, which judge answers. */
  scores: z.boolean().default(false),
  /** How its model draws where a client names nothing. */
  sampling: z.object(Sampling.shape).default(PLAIN_SAMPLING),
  /**
   * In which its model writes calls of tools; null if it takes none, as older backends do. A syntax
   * that this edge does not know counts as none.
   */
  tool_syntax: ToolSyntax.nullable().catch(null).default(null),
});
export type ServedModel = z.infer<typeof ServedModel>;

const count = z.int().min(0);

/** The URL of a backend, without a trailing slash. */
export const BackendUrl = z
  .url({ protocol: /^https?$/ })
  .max(500)
  .transform((url) => url.replace(/\/+$/, ''));

/** Rows in one batch, of which a request takes one for each expert that it asks; and its queue. */
const Capacity = z.object({
  rows: z.int().min(1),
  /** Requests that may wait. */
  waiting: count,
});

/** Kept prefixes, in tokens of rows, since the weights were loaded. */
const Prefixes = z.object({ queried_tokens: count, found_tokens: count, bytes: count });

/** How busy a backend is, in its `/healthz`. Older ones say only a part of it. */
export const ToldLoad = z.object({
  ...{ running: count, waiting: count, rows: count },
  capacity: Capacity,
  prefixes: Prefixes,
});
export type ToldLoad = z.infer<typeof ToldLoad>;

export const PoolReport = ServedModel.extend({
  /** Where edges reach it. It is the backend's name in the directory. */
  url: BackendUrl,
  /** `gone`: this is its last word. */
  status: z.enum(['ok', 'loading', 'draining', 'gone']),
  region: z.enum(REGIONS).nullable(),
  /**
   * The edge's word, by the key that has signed: it is a member of the helpfulness pool, which may
   * be other people's. Whatever it says, it counts for nothing else.
   */
  pool: z.literal('helpfulness').optional(),
  experts: ExpertKinds,
  /** How often it says something. */
  heartbeat_ms: z.int().min(100).max(60_000),
  capacity: Capacity,
  /** Now: requests in the batch, requests that wait, and rows that are taken. */
  load: z.object({ running: count, waiting: count, rows: count }),
  prefixes: Prefixes,
});
export type PoolReport = z.infer<typeof PoolReport>;
