import { describe, expect, test } from 'vitest';
import { directiveKey } from '#shared/protocol/directive.ts';
import { drainKey, signDrainOrder } from '#shared/protocol/drain-order.ts';
import { until } from '../engine/testing/engine-contract.ts';
import { allFrames, call, generateRequest, SECRET } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();
const key = await drainKey(directiveKey(SECRET));

const order = (drain: boolean, { backend = 'b1', id = crypto.randomUUID() as string, with: signedWith = key } = {}) =>
  signDrainOrder({ id, backend, drain }, signedWith);
const post = (url: string, token?: string) =>
  fetch(`${url}/drain`, { method: 'POST', headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
const health = async (url: string) => (await (await fetch(`${url}/healthz`)).json()) as { status: string };

describe('POST /drain', () => {
  test('lets running answers end, takes nothing new, and can be taken back', async () => {
    const { url, engine } = await serve({ stepMs: 5 });
    const running = await call(url, generateRequest({ max_tokens: 40 }));
    await until(() => engine.stats().running === 1);
    expect(await (await post(url, await order(true))).json()).toEqual({ draining: true });
    expect(await health(url)).toMatchObject({ status: 'draining', running: 1 });
    expect(await errorOf(await call(url, generateRequest()))).toMatchObject({
      status: 503,
      code: 'backend_unavailable',
    });
    expect((await allFrames(running)).at(-1)?.type).toBe('end');
    expect(await (await post(url, await order(false))).json()).toEqual({ draining: false });
    expect(await health(url)).toMatchObject({ status: 'ok' });
    expect((await allFrames(await call(url, generateRequest()))).at(-1)?.type).toBe('end');
  });

  test('needs an order for this backend, signed for this purpose, and takes it once', async () => {
    const { url } = await serve();
    const used = await order(false);
    expect((await post(url, used)).status).toBe(200);
    for (const token of [
      undefined,
      used,
      await order(true, { backend: 'b2' }),
      await order(true, { with: directiveKey(SECRET) }),
      'pk-demo-operator',
    ]) {
      expect(await errorOf(await post(url, token))).toMatchObject({ status: 401, code: 'directive_invalid' });
    }
    expect(await health(url)).toMatchObject({ status: 'ok' });
  });

  test('cannot take back that the process ends', async () => {
    const { url, backend, engine } = await serve({ stepMs: 10, graceMs: 600_000 });
    const running = await call(url, generateRequest({ max_tokens: 60 }));
    await until(() => engine.stats().running === 1);
    const closing = backend.close();
    expect(await (await post(url, await order(false))).json()).toEqual({ draining: true });
    await allFrames(running);
    await closing;
  });
});
