/** What a backend's heartbeats say: the same as its `/healthz`, and how much fits. */
import type { Sampling } from '#shared/api/sampling.ts';
import type { Role } from '#shared/protocol/expert-directive.ts';
import type { Region } from '#shared/protocol/regions.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import type { Engine } from '../engine/engine.ts';
import { offeredModes } from './app.ts';
import type { RegistrationReport } from './register.ts';

export type Registered = {
  /** Where edges reach the backend. */
  url: string;
  backendId: string;
  region: Region | null;
  heartbeatMs: number;
  maxRows: number;
  maxWaiting: number;
  created: number | undefined;
  /** The id of its draw secret, if it has one. */
  draws: string | undefined;
  sampling: Sampling;
  /** Whether its bundle has reward and cost heads. */
  scores: boolean;
  toolSyntax: ToolSyntax | null;
  serves: readonly Role[];
  answers: boolean;
};

export function registerReport(engine: Engine, draining: boolean, about: Registered): RegistrationReport {
  const { model, contextLength, maxTokenBytes, digest, experts, modes, secondLook } = engine.info;
  const { running, waiting, rows, prefixes } = engine.stats();
  const { url, backendId, region, heartbeatMs, maxRows, maxWaiting, created, draws, sampling, scores, toolSyntax } =
    about;
  const isReady = engine.alive && engine.state !== 'restarting';
  return {
    url,
    status: draining ? 'draining' : isReady ? 'ok' : 'loading',
    backend: backendId,
    region,
    model,
    bundle: digest,
    experts,
    modes: offeredModes(modes, about),
    serves: [...about.serves],
    context_length: contextLength,
    max_token_bytes: maxTokenBytes,
    ...(created !== undefined && { created }),
    ...(draws !== undefined && { draws }),
    second_look: secondLook,
    scores,
    sampling,
    tool_syntax: toolSyntax,
    heartbeat_ms: heartbeatMs,
    capacity: { rows: maxRows, waiting: maxWaiting },
    load: { running, waiting, rows },
    prefixes: {
      queried_tokens: prefixes.queriedTokens,
      found_tokens: prefixes.foundTokens,
      bytes: prefixes.bytes,
    },
  };
}
