/** Backends over scripted engines on real ports, for the tests of one file. */

import type { JSONWebKeySet } from 'jose';
import { afterEach, beforeAll } from 'vitest';
import type { EndFrame, Frame } from '#shared/protocol/generate.ts';
import type { Engine } from '../../engine/engine.ts';
import { until } from '../../engine/testing/engine-contract.ts';
import { startScriptedEngine, startSleepyEngine } from '../../engine/testing/scripted-engine.ts';
import type { BackendConfig, ReceiptPrivateJwk } from '../config.ts';
import type { EncodePrompt } from '../encode-prompt.ts';
import { type Backend, serveEngine } from '../start-backend.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './backend-client.ts';

export type Scripted = Parameters<typeof startScriptedEngine>[0] &
  Partial<Pick<BackendConfig, 'graceMs' | 'port' | 'backendId'>> &
  Partial<Pick<BackendConfig, 'directiveSecret' | 'oldDirectiveSecrets' | 'drawSecret' | 'oldDrawSecrets'>> & {
    /** The edge to register with. */
    register?: string;
    encodePrompt?: EncodePrompt;
    /** After this long without a request, the engine sleeps. Without it, never. */
    idleMs?: number;
    /** Another engine than a scripted one. Then nothing about scripts counts. */
    engine?: Engine;
  };

/**
 * Call it once, outside of any test. It makes the receipt keys, and after each test it closes what
 * that test started.
 */
export function scriptedBackends() {
  const keys: { receiptPrivateJwk?: ReceiptPrivateJwk; jwks?: JSONWebKeySet } = {};
  beforeAll(async () => {
    Object.assign(keys, await receiptKeys());
  });

  const open: Backend[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((backend) => backend.close()));
  });

  async function serve({
    graceMs = 0,
    directiveSecret = SECRET,
    oldDirectiveSecrets = [],
    drawSecret = DRAW_SECRET,
    oldDrawSecrets = [],
    port = 0,
    backendId = 'b1',
    encodePrompt = bytesOf,
    idleMs,
    register,
    engine: given,
    ...script
  }: Scripted = {}) {
    const engine =
      given ?? (await (idleMs === undefined ? startScriptedEngine(script) : startSleepyEngine({ ...script, idleMs })));
    const logged: string[] = [];
    const causes: unknown[] = [];
    const config = {
      host: '127.0.0.1',
      port,
      directiveSecret,
      oldDirectiveSecrets,
      drawSecret,
      oldDrawSecrets,
      receiptPrivateJwk: keys.receiptPrivateJwk!,
      backendId,
      graceMs,
      bodyLimitBytes: 10_000,
      hostNames: null,
    };
    const log = (message: string, cause?: unknown) => {
      logged.push(message);
      causes.push(cause);
    };
    try {
      const backend = await serveEngine(engine, encodePrompt, config, {
        log,
        ...(register !== undefined && { registering: { ...REGISTERING, register } }),
      });
      open.push(backend);
      return { engine, backend, url: backend.url, logged, causes };
    } catch (thrown) {
      await engine.close();
      throw thrown;
    }
  }

  return { serve, jwks: () => keys.jwks! };
}

const REGISTERING = { publicUrl: null, region: 'weur', heartbeatMs: 100, maxRows: 32, maxWaiting: 64 } as const;

const bytesOf: EncodePrompt = (messages) => ({
  promptIds: [...Buffer.from(messages.map(({ content }) => content).join('\n'))],
  rowPrompts: {},
});

export const idle = (engine: Engine) => until(() => engine.stats().rows === 0 && engine.stats().running === 0);
export const textOf = (frames: Frame[]) => frames.map((frame) => ('text' in frame ? frame.text : '')).join('');
export const endOf = (frames: Frame[]) => frames.at(-1) as EndFrame;
export const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: Record<string, string> }).error,
});
