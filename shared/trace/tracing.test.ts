import { expect, test } from 'vitest';
import { OtlpHeaders } from './otlp-settings.ts';
import { createTracing } from './tracing.ts';

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** A collector that keeps what it was sent, as parsed JSON. */
function collector({ status = 200 } = {}) {
  const sent: { url: string; headers: Headers; spans: Record<string, unknown>[] }[] = [];
  const fetch: typeof globalThis.fetch = async (url, init) => {
    // The cast drops the types of bodies that we never send.
    const body = JSON.parse(new TextDecoder().decode(init!.body as Uint8Array));
    const spans = body.resourceSpans.flatMap((resource: { scopeSpans: { spans: object[] }[] }) =>
      resource.scopeSpans.flatMap((scope) => scope.spans),
    );
    sent.push({ url: String(url), headers: new Headers(init!.headers), spans });
    return new Response('', { status });
  };
  return { sent, fetch };
}

const failures: unknown[] = [];
function tracing(fetch: typeof globalThis.fetch, { endpoint = 'http://collector' as string | null, ratio = 1 } = {}) {
  failures.length = 0;
  const onFailure = (cause: unknown) => failures.push(cause);
  return createTracing({ service: 's', otlp: { endpoint, headers: { 'x-team': 'edge' }, ratio }, fetch, onFailure });
}
const header = (headers: Record<string, string>) => (name: string) => headers[name];

test("a request is one piece of the client's trace, and a call within it another", async () => {
  const { sent, fetch } = collector();
  const begun = tracing(fetch).begin('POST', { header: header({ traceparent: PARENT, tracestate: 'a=1' }) });
  expect(begun.span.traceId).toBe('0af7651916cd43dd8448eb211c80319c');
  const call = begun.call('generate', { 'url.full': 'http://b' });
  const [, traceId, spanId, flags] = call.headers.traceparent!.split('-');
  expect([traceId, flags, call.headers.tracestate]).toEqual([begun.span.traceId, '01', 'a=1']);
  begun.span.set({ 'http.response.status_code': 200 });
  begun.span.end();
  call.fail('overloaded');
  expect(sent).toEqual([]);
  call.end();
  await begun.sent;
  const [{ url, headers, spans }] = sent as [(typeof sent)[number]];
  expect(url).toBe('http://collector/v1/traces');
  expect(headers.get('x-team')).toBe('edge');
  expect(spans).toMatchObject([
    { traceId, parentSpanId: 'b7ad6b7169203331', kind: 2, name: 'POST' },
    { traceId, spanId, kind: 3, status: { code: 2, message: 'overloaded' } },
  ]);
  expect(spans[1]!.parentSpanId).toBe(spans[0]!.spanId);
});

test.each([
  ['no header', {}],
  ['a broken header', { traceparent: '00-zz-b7ad6b7169203331-01' }],
  ['the id of no trace', { traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01' }],
])('with %s, a trace begins here', (_what, headers) => {
  for (const endpoint of ['http://collector', null]) {
    const { span } = tracing(collector().fetch, { endpoint }).begin('GET', { header: header(headers) });
    expect(span.traceId).toMatch(/^(?!0{32})[0-9a-f]{32}$/);
    expect(span.headers.traceparent).toMatch(new RegExp(`^00-${span.traceId}-[0-9a-f]{16}-01$`));
  }
});

test("without a collector, nothing is sent, and the client's trace goes on with its own flags", async () => {
  const { sent, fetch } = collector();
  const unsampled = PARENT.replace(/01$/, '00');
  const begun = tracing(fetch, { endpoint: null }).begin('GET', { header: header({ traceparent: unsampled }) });
  expect(begun.call('generate', {}).headers.traceparent).toMatch(
    /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/,
  );
  expect(begun.span.headers.traceparent).not.toContain('b7ad6b7169203331');
  expect(sent).toEqual([]);
});

test('a client that is not recorded is not recorded here, and a ratio of 0 records nobody else', async () => {
  const { sent, fetch } = collector();
  const unsampled = PARENT.replace(/01$/, '00');
  for (const [traceparent, ratio] of [
    [unsampled, 1],
    [undefined, 0],
  ] as const) {
    const begun = tracing(fetch, { ratio }).begin('GET', { header: () => traceparent });
    begun.span.end();
    await begun.sent;
  }
  expect(sent).toEqual([]);
});

test('an answer that goes on holds its spans back', async () => {
  const { sent, fetch } = collector();
  const begun = tracing(fetch).begin('POST', { header: () => undefined });
  const release = begun.hold();
  begun.span.end();
  begun.span.end();
  const late = begun.call('generate', {});
  late.end();
  await Promise.resolve();
  expect(sent).toEqual([]);
  release();
  release();
  await begun.sent;
  expect(sent[0]!.spans).toHaveLength(2);
});

test('a collector that fails is a failure to report, and no more', async () => {
  for (const fetch of [collector({ status: 503 }).fetch, () => Promise.reject(new Error('connection refused'))]) {
    const begun = tracing(fetch).begin('POST', { header: () => undefined });
    begun.span.end();
    await begun.sent;
    expect(String(failures)).toMatch(/answered 503|connection refused/);
  }
});

test('headers for the collector are pairs, and what is wrong is not shown', () => {
  expect(OtlpHeaders.parse('authorization=Bearer a=b, x-team=edge')).toEqual({
    authorization: 'Bearer a=b',
    'x-team': 'edge',
  });
  expect(OtlpHeaders.parse('')).toEqual({});
  expect(OtlpHeaders.safeParse('hunter2').error!.message).not.toContain('hunter2');
});
