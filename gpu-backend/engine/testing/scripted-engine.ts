/**
 * An engine over scripted experts, with bytes as its vocabulary: id 0 ends an answer, ids 1 to 255
 * are that byte.
 */

import { MessageChannel } from 'node:worker_threads';
import type { BackendMode } from '#shared/line/line.ts';
import type { ExpertKinds } from '#shared/protocol/expert-kind.ts';
import type { Proposal } from '../ask-gate.ts';
import type { DraftPlanner } from '../draft-planner.ts';
import { DEFAULT_LIMITS, type Engine, type EngineLimits } from '../engine.ts';
import { type HostOptions, hostEngine } from '../engine-host.ts';
import { startLocalEngine, startLocalThread } from '../local-engine.ts';
import type { Limit } from '../restart-limit.ts';
import { type Script, ScriptedExperts, type ScriptedOptions } from '../scripted-experts.ts';
import { startSleepingEngine } from '../sleeping-engine.ts';
import type { EngineThread } from '../sleeping-thread.ts';
import type { MaskOf } from '../token-mask.ts';

export const SCRIPTED_VOCAB = 256;

export const SCRIPTED_EXPERTS: ExpertKinds = { safety: { kind: 'adapter' }, helpfulness: { kind: 'base' } };

const FIRST_TURN = { safety: 1, helpfulness: 2, layers: 3 };

/**
 * Logits that depend on the source and on the tokens so far. They are smooth enough for varied
 * samples. Letters are likely, the end is not.
 */
export const babble: Script = (source, ids) => {
  const turn = ids.reduce((hash, id) => (hash * 31 + id) % 9973, FIRST_TURN[source]);
  return Array.from({ length: SCRIPTED_VOCAB }, (_, id) => {
    if (id === 0) return -4;
    const letter = id >= 97 && id < 123 ? 4 : -4;
    return letter + 2 * Math.sin(turn * (id + 1));
  });
};

type Scripted = {
  script?: Script;
  limits?: Partial<EngineLimits>;
  contextLength?: number;
  proposal?: Proposal;
  modes?: readonly BackendMode[];
  digest?: string;
  maskOf?: MaskOf;
  /** A script's runs take no time that could decide how much is read ahead. */
  drafts?: DraftPlanner;
} & Omit<ScriptedOptions, 'vocabSize' | 'layers'>;

function hostOptions({
  script = babble,
  limits = {},
  contextLength = 96,
  proposal = 0.5,
  modes = ['logits', 'layers'],
  digest = '0'.repeat(64),
  maskOf,
  drafts,
  ...options
}: Scripted): HostOptions {
  return {
    experts: new ScriptedExperts(script, { vocabSize: SCRIPTED_VOCAB, layers: modes.includes('layers'), ...options }),
    vocabulary: { eos: [0], banned: [], bytesOf: (id) => (id === 0 ? undefined : Uint8Array.of(id)) },
    info: {
      model: 'scripted',
      contextLength,
      maxTokenBytes: 1,
      digest,
      experts: SCRIPTED_EXPERTS,
      provider: null,
    },
    proposal,
    limits: { ...DEFAULT_LIMITS, ...limits },
    ...(maskOf && { maskOf }),
    drafts,
  };
}

export function startScriptedEngine(options: Scripted = {}): Promise<Engine> {
  return startLocalEngine(hostOptions(options));
}

/** A thread that takes a while to load. */
function startLateThread(options: HostOptions, loadMs: number): EngineThread {
  const { port1, port2 } = new MessageChannel();
  const gone = new Promise<void>((resolve) => port2.once('close', resolve));
  setTimeout(() => hostEngine(port1, options, () => port1.close()), loadMs);
  return { port: port2, gone };
}

/** A thread, and how to end it as a failure would: at once, and with nothing said. */
function mortal({ port, gone }: EngineThread): { thread: EngineThread; kill: () => void } {
  let isDead = false;
  const { promise, resolve } = Promise.withResolvers<unknown>();
  void gone.then(resolve);
  const thread: EngineThread = {
    port: {
      postMessage: (message) => isDead || port.postMessage(message),
      on: (event, listener) => port.on(event, (message) => isDead || listener(message)),
    },
    gone: promise,
  };
  const kill = () => {
    isDead = true;
    // Gives back what the scripted thread holds.
    port.postMessage({ type: 'close' });
    resolve('killed');
  };
  return { thread, kill };
}

/**
 * One that sleeps. `load` is called at each start, and may change what is loaded. That takes
 * `loadMs`. To unload takes until `unloaded` settles. `onThread` gets what kills the thread that
 * has just been started.
 */
export function startSleepyEngine({
  idleMs = 0,
  load = (options) => options,
  loadMs = 0,
  unloaded,
  waitingEveryMs,
  warn,
  restarts,
  onThread = () => {},
  ...options
}: Scripted & {
  idleMs?: number | null;
  load?: (options: Scripted) => Scripted;
  loadMs?: number;
  unloaded?: Promise<void>;
  waitingEveryMs?: number;
  warn?: (message: string) => void;
  restarts?: Limit;
  onThread?: (kill: () => void) => void;
} = {}): Promise<Engine> {
  return startSleepingEngine({
    start: () => {
      const host = hostOptions(load(options));
      const { thread, kill } = mortal(loadMs > 0 ? startLateThread(host, loadMs) : startLocalThread(host));
      onThread(kill);
      return { ...thread, gone: thread.gone.then((why) => unloaded?.then(() => why) ?? why) };
    },
    idleMs,
    ...(waitingEveryMs !== undefined && { waitingEveryMs }),
    ...(warn && { warn }),
    ...(restarts && { restarts }),
    ...options.limits,
  });
}
