/** Messages at random over a backend's `/v1/experts`, under directives at random. */
import * as fc from 'fast-check';
import { WebSocket } from 'ws';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { BackendConfig } from '#gpu-backend/server/config.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import { DRAW_SECRET, generateRequest, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { ERROR_CODES } from '#shared/api/errors.ts';
import { OPEN_LINE } from '#shared/line/line.ts';
import { directiveKey } from '#shared/protocol/directive.ts';
import {
  EXPERT_HEADER,
  EXPERTS_PATH,
  type ExpertDirective,
  expertKey,
  signExpertDirective,
} from '#shared/protocol/expert-directive.ts';
import { decodeRow, Said } from '#shared/protocol/expert-messages.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';

const CONTEXT = 128;
const strange = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(null, -1, 0, 1, 0.5, 2 ** 31, 2 ** 53, 1e308, '', 'open', 'take', [], {}),
);
const field = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 20, arbitrary: usual as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: strange });
const tokenId = fc.oneof(
  { weight: 10, arbitrary: fc.nat(255) },
  { weight: 1, arbitrary: fc.constantFrom(256, 2 ** 31 - 1, 2 ** 31, -1) },
);

type Message = { take: Record<string, unknown> } | { text: string } | { bytes: Uint8Array };
const message: fc.Arbitrary<Message> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      take: fc.record(
        { type: field(fc.constant('take')), at: field(fc.nat(6)), id: field(tokenId), epoch: field(fc.nat(3)) },
        { requiredKeys: ['type'] },
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ text: fc.oneof(fc.json(), fc.string({ unit: 'binary' })) }) },
  { weight: 1, arbitrary: fc.record({ bytes: fc.uint8Array({ maxLength: 40 }) }) },
);
const socketCase = fc.record({
  directive: fc.record(
    {
      expert: field(fc.constantFrom('safety', 'helpfulness')),
      top_k: field(fc.option(fc.integer({ min: 1, max: 300 }))),
      ahead: field(fc.nat(8)),
      line: field(
        fc
          .record({ floor: fc.double({ min: 0, max: 1, noNaN: true }) })
          .map((each) => ({ ...OPEN_LINE, mode: 'edge', ...each })),
      ),
      digest: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: strange }),
      x: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: strange }),
    },
    { requiredKeys: [] },
  ),
  token: fc.oneof(
    { weight: 20, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.stringMatching(/^[!-~]{0,80}$/) },
  ),
  request: fc.record(
    {
      max_tokens: field(fc.integer({ min: 1, max: 8 })),
      repetition_penalty: field(fc.constantFrom(1, 2)),
      n: field(fc.constant(1)),
      model: field(fc.constant('scripted')),
    },
    { requiredKeys: [] },
  ),
  open: fc.record(
    {
      type: field(fc.constant('open')),
      ids: field(fc.array(tokenId, { maxLength: 4 })),
      draws: field(fc.option(fc.constantFrom('', 'x', '00000000'))),
      vocabulary: field(fc.boolean()),
      body: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: strange }),
      x: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: strange }),
    },
    { requiredKeys: [] },
  ),
  /** Instead of the opening. */
  first: fc.oneof({ weight: 15, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: message }),
  messages: fc.array(message, { maxLength: 6 }),
  /** Goes without a word after so many of them. */
  leavesAfter: fc.option(fc.nat(6)),
});

/** What a backend may say that is no fault of its code. */
const isOurs = (code: string) => code === 'internal_error' || code === 'expert_failed';
/** After the last message, in which it may still say something. */
const LISTEN_MS = 5;
/** An opening has a row, an error or the end for an answer. */
const ANSWER_MS = 60_000;

/** Whatever is said to it, a backend says what an edge understands, and lives on. */
export const expertMessages: FuzzKind = async () => {
  const { receiptPrivateJwk } = await receiptKeys();
  const { bundle: _none, ...config } = BackendConfig.parse({
    bundle: 'none',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
  });
  const log: string[] = [];
  const vocabulary = { eos: [0], banned: [], bytesOf: (id: number) => (id === 0 ? undefined : Uint8Array.of(id)) };
  const backend = await serveEngine(
    await startScriptedEngine({ contextLength: CONTEXT }),
    (messages) => ({
      promptIds: [1, ...Buffer.from(messages.map(({ content }) => content).join('\n'))],
      rowPrompts: {},
    }),
    config,
    { log: (message, cause) => log.push(`${message} ${String(cause)}`), vocabulary },
  );
  const url = `${backend.url.replace('http', 'ws')}${EXPERTS_PATH}`;

  return openKind(
    socketCase,
    async ({ directive, token, request, open, first, messages, leavesAfter }) => {
      // The casts: what is wrong with them is the case.
      const body = JSON.stringify({ ...generateRequest(), ...(request as object) });
      const claims = {
        id: crypto.randomUUID(),
        request: 'req_1',
        tenant: 'acme',
        key: 'main',
        policy: 'p',
        classifier: 'c',
        digest: await sha256Hex(body),
        line: { ...OPEN_LINE, mode: 'edge' },
        second_look: null,
        expert: 'safety',
        top_k: null,
        ahead: 0,
        ...defined(directive),
      } as ExpertDirective;
      const header = token ?? (await signExpertDirective(claims, await expertKey(directiveKey(SECRET), claims.expert)));
      const opening = { type: 'open', body, ids: [], draws: null, vocabulary: false, ...defined(open) };
      const sent = [first ?? { text: JSON.stringify(opening) }, ...messages];
      const outcome = await converse(url, header, sent.slice(0, leavesAfter ?? sent.length));
      const health = await fetch(`${backend.url}/healthz`);
      await health.text();
      if (!health.ok) throw new Error(`the backend is not well any more: ${log.slice(-3).join('\n')}`);
      return outcome;
    },
    () => backend.close(),
  );
};

/**
 * Says all of it, and listens. Returns the code of an error, or what came of it. Rejects if that is
 * a fault of the backend.
 */
function converse(url: string, header: string, messages: readonly Message[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers: { [EXPERT_HEADER]: header } });
    let rows = 0;
    let outcome: string | null = null;
    const judge = (code: string, told: string) => {
      if (!Object.hasOwn(ERROR_CODES, code) || isOurs(code)) reject(new Error(`our fault: ${told}`));
      outcome = code;
    };
    socket.on('unexpected-response', (_, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        try {
          const text = Buffer.concat(chunks).toString();
          judge(JSON.parse(text).error.code, text);
          resolve(outcome ?? '');
        } catch (cause) {
          reject(cause);
        }
      });
    });
    socket.on('error', (error) => {
      if (socket.readyState === WebSocket.CONNECTING) reject(error);
    });
    socket.on('message', (data: Buffer, isBinary) => {
      try {
        if (isBinary) {
          decodeRow(Uint8Array.from(data).buffer);
          rows++;
          return;
        }
        const said = Said.parse(JSON.parse(String(data)));
        if (said.type === 'error') judge(said.code, String(data));
      } catch (cause) {
        reject(cause);
      }
    });
    socket.on('close', () => resolve(outcome ?? (rows > 0 ? 'rows' : 'closed')));
    socket.on('open', () => {
      const [opening, ...rest] = messages;
      const leave = () => setTimeout(() => socket.close(), LISTEN_MS);
      if (opening === undefined) return leave();
      const hangs = setTimeout(() => reject(new Error('an opening without an answer')), ANSWER_MS);
      const goOn = () => {
        clearTimeout(hangs);
        socket.off('message', onMessage);
        for (const message of rest) if (socket.readyState === WebSocket.OPEN) send(message);
        leave();
      };
      const onMessage = (data: Buffer, isBinary: boolean) => {
        if (isBinary || String(data).includes('"error"')) goOn();
      };
      socket.on('message', onMessage);
      socket.once('close', () => clearTimeout(hangs));
      send(opening);
    });
    const send = (message: Message) => {
      if ('bytes' in message) socket.send(message.bytes);
      else socket.send('take' in message ? JSON.stringify(message.take) : message.text);
    };
  });
}

function defined(changes: object): object {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}
