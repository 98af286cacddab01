import { expect, test } from 'vitest';
import { until } from '../engine/testing/engine-contract.ts';
import { allFrames, call, generateRequest } from './testing/backend-client.ts';
import { endOf, errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

test('a full queue answers 503 with Retry-After, before any frame', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2, maxWaiting: 1 } });
  const running = await call(url, generateRequest({ max_tokens: 50 }));
  await until(() => engine.stats().running === 1);
  const waiting = await call(url, generateRequest({ max_tokens: 1 }));
  const refused = await call(url, generateRequest());
  expect(refused.headers.get('retry-after')).toMatch(/^([1-9]|[1-5]\d|60)$/);
  expect(await errorOf(refused)).toMatchObject({ status: 503, code: 'overloaded' });
  expect(endOf(await allFrames(running)).type).toBe('end');
  expect(endOf(await allFrames(waiting)).type).toBe('end');
});

test('an answer that has to wait says so until it has a place, and only then says that it has started', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2 } });
  const running = await call(url, generateRequest({ max_tokens: 50 }));
  await until(() => engine.stats().running === 1);
  // One after the other, because two at once may arrive in either order.
  const ask = (seed: number) => call(url, generateRequest({ max_tokens: 2, seed }));
  const waiting = [await ask(1), await ask(2)];
  expect(engine.stats()).toMatchObject({ running: 1, waiting: 2 });
  await allFrames(running);
  const frames = await Promise.all(waiting.map(allFrames));
  expect(frames.map(([first]) => first)).toEqual([
    { type: 'waiting', ahead: 0 },
    { type: 'waiting', ahead: 1 },
  ]);
  for (const each of frames) {
    const types = each.map(({ type }) => type);
    expect(types.slice(types.lastIndexOf('waiting') + 1)).toEqual(['start', 'token', 'token', 'end']);
  }
});

test('refuses the tenant that filled the queue but not another; the directive names the tenant', async () => {
  const { url, engine } = await serve({ stepMs: 10, limits: { maxRows: 2, maxWaiting: 2 } });
  const ask = (tenant: string) =>
    call(url, generateRequest({ max_tokens: 20 }), { edit: (directive) => ({ ...directive, tenant }) });
  const running = await ask('crowd');
  await until(() => engine.stats().running === 1);
  const asked = [await ask('crowd'), await ask('crowd'), await ask('crowd'), await ask('other'), await ask('other')];
  expect(asked.map(({ status }) => status)).toEqual([200, 200, 503, 200, 503]);
  // Metrics have only totals, because a series per tenant would have no limit.
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/num_requests_waiting\{[^}]*\} 3\n/);
  expect(metrics).not.toMatch(/crowd|other/);
  const accepted = [running, ...asked.filter(({ ok }) => ok)];
  for (const response of accepted) expect(endOf(await allFrames(response)).type).toBe('end');
});
