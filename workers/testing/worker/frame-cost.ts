/**
 * The edge's way of an answer's frames to the client's events, and nothing else of it, so that what
 * a token costs can be measured: `/on` checks what backends vouch for, `/off` does not, `/copy`
 * reads and writes each piece, `/read` only reads it, and `/pipe` leaves even that to the runtime.
 */
import { STRICTEST } from '#policies/schema.ts';
import { PLAIN_SAMPLING } from '#shared/api/sampling.ts';
import { AnswerAccount } from '#shared/protocol/answer-account.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import type { Frame } from '#shared/protocol/generate.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import type { BegunAnswer } from '../../gateway/answer-extension.ts';
import type { StartFrame } from '../../gateway/attempt.ts';
import type { PoolMember } from '../../gateway/backend-pool.ts';
import { BEAT_EVERY_MS, beatingBody } from '../../gateway/beating-body.ts';
import { frameKeyOf } from '../../gateway/frame-key.ts';
import { type AnswerEvents, readAnswer } from '../../gateway/read-answer.ts';
import { readFrames } from '../../gateway/read-frames.ts';
import { streamAnswer } from '../../gateway/stream-answer.ts';

/** Where the frames come from, and what was signed for them, as JSON. */
type CostEnv = { UPSTREAM: string; SECRET: string; DIRECTIVE: string; START: string; RECEIPT: string };

async function* unchecked(frames: AsyncIterable<Frame[]>, receipt: Receipt): AnswerEvents {
  for await (const batch of frames) {
    const tokens = batch.filter((frame) => frame.type === 'token');
    const text = tokens.map((token) => token.text).join('');
    if (tokens.length > 0) yield { text, tokens: tokens.map(({ type: _, mark: __, ...token }) => token) };
  }
  return { receiptToken: '', receipt };
}

const NOBODY: PoolMember = {
  url: '',
  alive: true,
  model: null,
  contextLength: 0,
  maxTokenBytes: 1,
  bundle: null,
  created: null,
  modes: [],
  serves: [],
  secondLook: null,
  sampling: PLAIN_SAMPLING,
};
const never = () => Promise.reject(new Error('the recorded answer broke off'));
const keys = new Map<string, Uint8Array>();

/** The same bytes each time, so that the key is derived once, as in the edge. */
function secretOf({ SECRET }: CostEnv): Uint8Array {
  const secret = keys.get(SECRET) ?? new TextEncoder().encode(SECRET);
  keys.set(SECRET, secret);
  return secret;
}

export default {
  async fetch(request, env): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const upstream = await fetch(env.UPSTREAM + search);
    if (pathname === '/pipe') return new Response(upstream.body);
    if (pathname === '/read') {
      let bytes = 0;
      for await (const piece of upstream.body!) bytes += piece.byteLength;
      return new Response(String(bytes));
    }
    if (pathname === '/copy') {
      const reader = upstream.body!.getReader();
      const copy = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { value, done } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
      });
      return new Response(copy);
    }
    // The casts are safe: the bench has recorded them.
    const receipt = JSON.parse(env.RECEIPT) as Receipt;
    const directive = JSON.parse(env.DIRECTIVE) as Directive;
    const start = JSON.parse(env.START) as StartFrame;
    const frames = readFrames(upstream.body!);
    const events =
      pathname === '/on'
        ? readAnswer(
            { member: NOBODY, directive, start, frames },
            {
              account: new AnswerAccount(await frameKeyOf(secretOf(env))),
              goOn: never,
              checkReceipt: async () => receipt,
            },
          )
        : unchecked(frames, receipt);
    const head = { id: 'chatcmpl-1', created: 0, model: start.model, system_fingerprint: 'fp_0' };
    const extension = {
      policy: { tenant: receipt.tenant, version: receipt.policy },
      classifier: receipt.classifier,
      categories: [],
      unread: 0,
      uncertain: 0,
      cache: { route: 'miss' as const, answer: 'off' as const },
    } satisfies BegunAnswer['extension'];
    const decided = { policy: STRICTEST, signals: {} };
    const begun = Promise.resolve({ events, head, extension, decided });
    const onError = (error: unknown) => console.error(error);
    const texts = streamAnswer(begun, { ...NO_WISHES, includeUsage: false, onError });
    const beat = { text: ': waiting\n\n', everyMs: BEAT_EVERY_MS };
    const body = beatingBody(texts, { beat, onCancel: () => {} });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  },
} satisfies ExportedHandler<CostEnv>;

const NO_WISHES = { trace: 'none', top: 0, logprobs: null, choices: 1 } as const;
