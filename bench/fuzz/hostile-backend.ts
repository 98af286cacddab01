/**
 * A backend that has the receipt key and says anything: true answers with pieces lost, doubled,
 * swapped and changed, frames at random, bytes at random, refusals at random, cut anywhere.
 * Whatever it sends, a client gets the true answer, or one that ends with an error.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { ERROR_CODES } from '#shared/api/errors.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { ask, post, startEdgeUnderTest, testKey } from '#workers/testing/edge-under-test.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';
import { ANSWERED, answered, judgeAnswer, judgeLog } from './judge-answer.ts';

const TENANT = 'fuzz';

/** What it does to the true answer's lines. Places count from the front, around the end. */
type Change =
  | { do: 'drop' | 'double' | 'cut'; at: number }
  | { do: 'swap'; at: number; with: number }
  | { do: 'set'; at: number; field: string; to: unknown }
  | { do: 'insert'; at: number; line: string };
type Reply = {
  status: number;
  retryAfter: string | null;
  /** Changes to the true answer, or something else instead. */
  lines: { changes: Change[] } | { bytes: Uint8Array };
  /** Ends as whole, or with the connection torn. */
  torn: boolean;
  /** How many bytes it sends at a time. */
  piece: number;
};

const FIELDS =
  'type id text weight spent ran mark choice finish_reason usage weights second_look receipt remaining total'
    .concat(' prompt_tokens model bundle backend draws code message lp_s lp_h bytes top clamped')
    .split(' ');
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    null,
    -1,
    0,
    1e308,
    2 ** 53,
    '',
    'token',
    'end',
    'start',
    'stop',
    'length',
    'content_filter',
  ),
);
const frame = fc
  .tuple(
    fc.constantFrom('token', 'text', 'start', 'end', 'error', 'waiting', 'reading', 'echo'),
    fc.dictionary(fc.constantFrom(...FIELDS), value, { noNullPrototype: true }),
  )
  .map(([type, rest]) => JSON.stringify({ ...rest, type }));
const wellFormed = fc.oneof(
  fc.string().map((text) => JSON.stringify({ type: 'text', text })),
  fc.nat().map((ahead) => JSON.stringify({ type: 'waiting', ahead })),
  fc.record({ read: fc.nat(), of: fc.nat() }).map((reading) => JSON.stringify({ type: 'reading', ...reading })),
  fc.constantFrom('{"type":"error","code":"overloaded","message":"x"}', '{"type":"echo","text":"x"}'),
);
const line = fc.oneof(
  frame,
  wellFormed,
  fc.json(),
  fc.string(),
  fc.constant(`{"type":"text","text":"${'x'.repeat(70_000)}`),
);
const at = fc.nat({ max: 40 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ do: fc.constantFrom('drop', 'double', 'cut'), at }),
  fc.record({ do: fc.constant('swap'), at, with: at }),
  fc.record({ do: fc.constant('set'), at, field: fc.constantFrom(...FIELDS), to: value }),
  fc.record({ do: fc.constant('insert'), at, line }),
);

/** Codes by which a backend blames itself, or the edge's directive: the edge passes that on. */
const BLAME = ['internal_error', 'directive_invalid', 'directive_expired'];
const refusal = fc
  .record({
    code: fc.constantFrom(...Object.keys(ERROR_CODES).filter((code) => !BLAME.includes(code)), 'x', '__proto__'),
    message: fc.oneof(fc.string(), fc.jsonValue()),
    param: fc.oneof(fc.string(), fc.jsonValue()),
  })
  .map((error) => Buffer.from(JSON.stringify({ error })));
const lines = fc.oneof(
  { weight: 6, arbitrary: fc.record({ changes: fc.array(change, { maxLength: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.array(line, { maxLength: 6 }).map((all) => Buffer.from(all.map((each) => `${each}\n`).join(''))),
      ),
    }),
  },
);
/** A connection that is torn hides whatever else is wrong. */
const rarely = fc.nat({ max: 5 }).map((n) => n === 0);
const good = fc.record({
  status: fc.constant(200),
  retryAfter: fc.constant(null),
  lines,
  torn: rarely,
  piece: fc.constantFrom(1, 7, 100, 100_000),
});
const refusing = fc.record({
  status: fc.constantFrom(201, 204, 301, 400, 401, 403, 404, 429, 500, 502, 503, 599),
  retryAfter: fc.option(
    fc.oneof(fc.nat().map(String), fc.constantFrom('0.5', '1e99', 'Infinity', '-1', 'Wed, 21 Oct 2065 07:28:00 GMT')),
  ),
  lines: fc.record({ bytes: fc.oneof(refusal, fc.uint8Array({ maxLength: 50 })) }),
  torn: rarely,
  piece: fc.constant(100_000),
});
const reply: fc.Arbitrary<Reply> = fc.oneof({ weight: 5, arbitrary: good }, { weight: 1, arbitrary: refusing });
const hostileCase = fc.record({
  /** What it says when it is asked; from the last on, the same again. */
  replies: fc.array(reply, { minLength: 1, maxLength: 3 }),
  stream: fc.boolean(),
  trace: fc.constantFrom('none', 'summary', 'tokens'),
});

export const hostileBackends: FuzzKind = async () => {
  let replies: Reply[] = [];
  let upstream = '';
  const hostile = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const headers = { 'x-plimsoll-directive': String(request.headers['x-plimsoll-directive']) };
    const asked = request.method === 'POST' ? { method: 'POST', headers, body } : {};
    const truth = await fetch(upstream + request.url, asked);
    if (request.url === '/healthz') return void response.end(await truth.text());
    const { status, retryAfter, lines, torn, piece } = replies.length > 1 ? replies.shift()! : replies[0]!;
    const bytes = 'bytes' in lines ? lines.bytes : Buffer.from(changed(await truth.text(), lines.changes));
    response.writeHead(status, {
      'content-type': 'application/x-ndjson',
      ...(retryAfter !== null && { 'retry-after': retryAfter }),
    });
    for (let from = 0; from < bytes.length; from += piece) response.write(bytes.subarray(from, from + piece));
    if (torn) response.flushHeaders();
    // A torn connection loses what has not been sent yet.
    if (torn) setImmediate(() => response.destroy());
    else response.end();
  }
  await new Promise<void>((resolve) => hostile.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`;
  const under = await startEdgeUnderTest({
    entry: 'fuzz-main.ts',
    limits: { [TENANT]: {} },
    overrides: { BACKENDS: JSON.stringify([url]) },
  });
  upstream = under.backends[0]!.url;
  const request = (stream: boolean, trace: string) =>
    post(
      under.edge,
      '/v1/chat/completions',
      { ...ask('Hi'), seed: 1, stream, plimsoll: { trace, floor: OPEN_LINE.floor } },
      testKey(TENANT),
    );
  replies = [{ status: 200, retryAfter: null, lines: { changes: [] }, torn: false, piece: 100_000 }];
  const truth = contentOf(await (await request(false, 'none')).text());
  return openKind(
    hostileCase,
    async ({ replies: planned, stream, trace }) => {
      const logged = under.log.length;
      replies = [...planned];
      const got = await answered(await request(stream, trace));
      const outcome = judgeAnswer(got);
      if (outcome === ANSWERED && contentOf(got.text) !== truth) {
        throw new Error(`an answer that is not the true one ended well: ${got.text.slice(-2_000)}`);
      }
      judgeLog(under.log, logged);
      return outcome;
    },
    async () => {
      await under.dispose();
      hostile.closeAllConnections();
      hostile.close();
    },
  );
};

/** The lines with the changes made, in order. */
function changed(text: string, changes: readonly Change[]): string {
  let lines = text.split('\n').slice(0, -1);
  for (const change of changes) {
    const at = change.at % (lines.length || 1);
    const here = lines[at] ?? '{}';
    if (change.do === 'drop') lines.splice(at, 1);
    if (change.do === 'double') lines.splice(at, 0, here);
    if (change.do === 'cut') lines = lines.slice(0, at);
    if (change.do === 'insert') lines.splice(at, 0, change.line);
    if (change.do === 'set') lines[at] = withField(here, change.field, change.to);
    if (change.do === 'swap') {
      const other = change.with % (lines.length || 1);
      [lines[at], lines[other]] = [lines[other] ?? '', here];
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

function withField(line: string, field: string, to: unknown): string {
  try {
    return JSON.stringify({ ...JSON.parse(line), [field]: to });
  } catch {
    // An earlier change has put there what is no JSON.
    return line;
  }
}

/** The text of an answer, whole or streamed. */
function contentOf(text: string): string {
  const parts = text.includes('data: ') ? text.split('\n\n').map((event) => event.replace(/^data: /, '')) : [text];
  return parts
    .filter((part) => part.trimStart().startsWith('{'))
    .flatMap((part) => JSON.parse(part).choices ?? [])
    .map(({ delta, message }) => (delta ?? message).content ?? '')
    .join('');
}
