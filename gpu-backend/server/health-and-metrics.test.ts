import { expect, test } from 'vitest';
import { importDrawSecret } from '#shared/protocol/derive-draw-key.ts';
import { DraftPlanner } from '../engine/draft-planner.ts';
import type { Script } from '../engine/scripted-experts.ts';
import { until } from '../engine/testing/engine-contract.ts';
import { SCRIPTED_EXPERTS, SCRIPTED_VOCAB } from '../engine/testing/scripted-engine.ts';
import { Metrics } from './metrics.ts';
import { allFrames, call, DRAW_SECRET, generateRequest } from './testing/backend-client.ts';
import { errorOf, scriptedBackends } from './testing/scripted-backends.ts';

const { serve } = scriptedBackends();

test('healthz says what the backend serves and how busy it is', async () => {
  const { url, engine } = await serve({ stepMs: 5 });
  const healthz = async () => {
    const response = await fetch(`${url}/healthz`);
    return { http: response.status, ...((await response.json()) as object) };
  };
  const about = {
    http: 200,
    status: 'ok',
    backend: 'b1',
    model: 'scripted',
    context_length: 96,
    max_token_bytes: 1,
    bundle: '0'.repeat(64),
    experts: SCRIPTED_EXPERTS,
    provider: null,
    draws: (await importDrawSecret(DRAW_SECRET)).id,
    modes: ['logits', 'layers'],
    serves: [],
    second_look: null,
    scores: false,
    tool_syntax: null,
    sampling: { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1 },
    engine: 'loaded',
  };
  const load = { waiting: 0, prefixes: { queried_tokens: 0, found_tokens: 0, bytes: 0 } };
  expect(await healthz()).toEqual({ ...about, ...load, running: 0, rows: 0 });
  expect(await (await fetch(`${url}/livez`)).json()).toEqual({ status: 'ok' });
  const answer = await call(url, generateRequest({ max_tokens: 40 }));
  await until(() => engine.stats().running === 1);
  expect(await healthz()).toMatchObject({ ...about, waiting: 0, running: 1, rows: 2 });
  await allFrames(answer);
  await engine.close();
  expect(await healthz()).toMatchObject({ http: 503, status: 'failed' });
  expect((await fetch(`${url}/livez`)).status).toBe(503);
  expect(await errorOf(await call(url, generateRequest()))).toMatchObject({ status: 503, code: 'backend_unavailable' });
});

test('a backend whose engine gave its memory back is well, says so, and answers as before', async () => {
  const { url, engine } = await serve({ idleMs: 0 });
  const health = async () => (await (await fetch(`${url}/healthz`)).json()) as object;
  await until(() => engine.state === 'idle');
  expect(await health()).toMatchObject({ status: 'ok', engine: 'idle', running: 0, waiting: 0 });
  expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/^plimsoll:engine_loaded\{.*\} 0$/m);
  const frames = await allFrames(await call(url, generateRequest()));
  expect(frames.map(({ type }) => type)).toContain('token');
  expect(frames.at(-1)?.type).toBe('end');
});

test('metrics and usage say how much of an answer was guessed', async () => {
  // After its prompt, it says what the prompt says, again and again.
  const period = 'a longer sentence to repeat'.length + 2;
  const script: Script = (_, ids) => {
    const next = ids[ids.length - period] ?? 97;
    return Float32Array.from({ length: SCRIPTED_VOCAB }, (_, id) => (id === next ? 30 : -30));
  };
  const drafts = new DraftPlanner({ costRatio: () => 1 });
  const { url } = await serve({ script, drafts, limits: { speculation: true } });
  const messages = [{ role: 'user' as const, content: 'a longer sentence to repeat' }];
  const end = (await allFrames(await call(url, generateRequest({ messages, max_tokens: 40 })))).at(-1);
  if (end?.type !== 'end') throw new Error(`the answer ended with ${JSON.stringify(end)}`);
  const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } =
    end.usage.completion_tokens_details!;
  expect(accepted).toBeGreaterThan(0);
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(text.match(new RegExp(`^plimsoll:${name}\\{.*\\} (\\S+)$`, 'm'))?.[1]);
  expect(value('spec_decode_num_accepted_tokens_total')).toBe(accepted);
  expect(value('spec_decode_num_draft_tokens_total')).toBe(accepted + rejected);
});

test('metrics count requests, tokens, weights and spending under names like vLLM’s', async () => {
  const { url } = await serve();
  await allFrames(await call(url, generateRequest(), { line: { floor: 0.9, budget: 3 } }));
  await call(url, generateRequest({ model: 'other' }));
  const response = await fetch(`${url}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const text = await response.text();
  const value = (name: string, labels = '') => {
    const match = text.match(new RegExp(`^plimsoll:${name}\\{${labels}model_name="scripted"\\} (\\S+)$`, 'm'));
    return Number(match?.[1]);
  };
  expect(value('engine_info', 'provider="none",')).toBe(1);
  expect(value('prompt_tokens_total')).toBe(5);
  expect(value('generation_tokens_total')).toBe(12);
  expect(value('num_requests_running')).toBe(0);
  expect(value('num_requests_waiting')).toBe(0);
  expect(value('engine_loaded')).toBe(1);
  expect(value('time_to_first_token_seconds_count')).toBe(1);
  expect(value('time_per_output_token_seconds_count')).toBe(11);
  expect(value('e2e_request_latency_seconds_count')).toBe(1);
  expect(value('request_success_total', 'finished_reason="length",')).toBe(1);
  expect(value('request_failure_total', 'code="model_not_found",')).toBe(1);
  expect(value('safety_weight_sum')).toBeCloseTo(12 * 0.9);
  expect(value('budget_spent_nats_count')).toBe(1);
});

test('metrics say how long requests waited for a place, and how many waited for memory', async () => {
  // Two rows of 96 tokens, and nothing more.
  const { engine, url } = await serve({ bytesPerToken: 1, limits: { kvBytes: 2 * 96 }, stepMs: 1 });
  const long = await call(url, generateRequest({ max_tokens: 90 }));
  await until(() => engine.stats().running === 1);
  const waiting = call(url, generateRequest({ max_tokens: 1 }));
  await until(() => engine.stats().memoryWaits === 1);
  await allFrames(long);
  await allFrames(await waiting);
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(text.match(new RegExp(`^plimsoll:${name}\\{.*\\} (\\S+)$`, 'm'))?.[1]);
  expect(value('request_queue_time_seconds_count')).toBe(2);
  expect(value('memory_waits_total')).toBe(1);
});

test('the time in the queue ends when a request joins the batch', async () => {
  const { engine } = await serve();
  const metrics = new Metrics(engine);
  const clock = { seconds: 10 };
  const measured = metrics.request(() => clock.seconds);
  clock.seconds = 12;
  measured.accepted(5, { isResumed: false });
  clock.seconds = 20;
  const text = await metrics.registry.metrics();
  expect(text).toMatch(/^plimsoll:request_queue_time_seconds_sum\{.*\} 2$/m);
  expect(text).toMatch(/^plimsoll:request_queue_time_seconds_bucket\{le="1",.*\} 0$/m);
  expect(text).toMatch(/^plimsoll:request_queue_time_seconds_bucket\{le="2.5",.*\} 1$/m);
});

test('metrics count each of several answers, and the first token of all of them once', async () => {
  const { url } = await serve();
  await allFrames(await call(url, generateRequest({ n: 3, max_tokens: 4 })));
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(text.match(new RegExp(`^plimsoll:${name}\\{.*\\} (\\S+)$`, 'm'))?.[1]);
  expect(value('prompt_tokens_total')).toBe(5);
  expect(value('generation_tokens_total')).toBe(12);
  expect(value('time_to_first_token_seconds_count')).toBe(1);
  expect(value('time_per_output_token_seconds_count')).toBe(9);
  expect(value('request_success_total')).toBe(3);
});

test('metrics and usage say how many tokens of a prompt were not read again', async () => {
  const { url } = await serve();
  const messages = [{ role: 'user' as const, content: 'forty-two characters, of one byte each, so' }];
  const ask = async () => (await allFrames(await call(url, generateRequest({ messages, max_tokens: 1 })))).at(-1);
  const details = (cached: number) => ({ usage: { prompt_tokens_details: { cached_tokens: cached } } });
  expect(await ask()).toMatchObject(details(0));
  expect(await ask()).toMatchObject(details(32));
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => Number(text.match(new RegExp(`^plimsoll:${name}\\{.*\\} (\\S+)$`, 'm'))?.[1]);
  // Two rows, twice.
  expect(value('prefix_cache_queries_total')).toBe(4 * 42);
  expect(value('prefix_cache_hits_total')).toBe(2 * 32);
  expect(value('prefix_cache_evictions_total')).toBe(0);
  expect(value('prefix_cache_bytes')).toBeGreaterThan(0);
});
