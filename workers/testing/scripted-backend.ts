/**
 * A backend without a model. It keeps the whole contract (directive, frames, stop strings, limits,
 * signed receipt, health) and writes a fixed sentence. `behaviour` makes it break the contract in
 * one chosen way.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import type { LookReport } from '#shared/api/plimsoll-extension.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import { NO_WEIGHTS } from '#shared/gate/index.ts';
import { JUDGEMENTS, type Judgement } from '#shared/line/categories.ts';
import type { Mode } from '#shared/line/line.ts';
import { DECODE_PATH } from '#shared/protocol/decode.ts';
import { DIRECTIVE_HEADER, type Directive, directiveKey, verifyDirective } from '#shared/protocol/directive.ts';
import { deriveFrameKey } from '#shared/protocol/frame-mac.ts';
import { type Frame, type GenerateBody, GenerateRequest, type TokenFrame } from '#shared/protocol/generate.ts';
import type { ToldLoad } from '#shared/protocol/pool-report.ts';
import { type Receipt, signReceipt } from '#shared/protocol/receipt.ts';
import { importFrameKey, partsBefore, splitBody, verifyResume } from '#shared/protocol/resume.ts';
import { SCORE_PATH, type ScoreAnswer, scoreKey, verifyScoreOrder } from '#shared/protocol/score.ts';
import { lineAfterLook, lookCategories } from '#shared/protocol/second-look.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { TOKENIZE_PATH } from '#shared/protocol/tokenize.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { type Behaviour, LIES } from './behaviours.ts';
import { markFrames } from './mark-frames.ts';
import { createReceiptKey, type ReceiptKey } from './receipt-key.ts';
import { type Script, writeScript } from './scripted-answer.ts';
import { scriptedReceipt } from './scripted-receipt.ts';
import { scriptedDecoder, scriptedTokenizer } from './scripted-tokenizer.ts';

const DRAWS = 'scripted';
export const PROBE_VERSION = '0123456789ab';
/** Unix seconds. */
export const MODEL_CREATED = 1_764_000_000;

export type ScriptedBackend = {
  url: string;
  name: string;
  behaviour: Behaviour;
  /**
   * This many of the next requests find their connection closed, as happens to one that is kept
   * alive too long.
   */
  drops: number;
  /** What it serves now. */
  model: string;
  /** The name of the weights it serves. A deployment may change them under the same address. */
  bundle: string;
  /** What its second look finds: these probabilities, else 0. null: it takes none. */
  probe: Partial<Record<Judgement, number>> | null;
  /** What its heads make of any answer; null: its bundle has none. */
  scores: { reward: number; cost: number } | null;
  /** How busy its health says it is; null: it does not say. */
  load: ToldLoad | null;
  /** In which its model writes calls of tools; null: it takes none. */
  toolSyntax: ToolSyntax | null;
  /** The tokens of its answer to a request; null: a fixed sentence. */
  says: ((asked: GenerateRequest) => readonly string[]) | null;
  tokenizes: boolean;
  /** What it was asked, with the directives from the edge. */
  readonly seen: { directive: Directive; request: GenerateBody }[];
  /** How many answers were given up because the edge closed the connection. */
  readonly aborted: number;
  /** How many answers its heads were asked about. */
  readonly scored: number;
  /** How often it was asked what ids say. */
  readonly decoded: number;
  close(): Promise<void>;
};

export async function startScriptedBackend({
  name,
  directiveSecret,
  receiptKey,
  model = 'scripted',
  contextLength = 64,
  port = 0,
  modes = ['logits', 'layers'],
  probe = null,
  scores = null,
  sampling = PLAIN_SAMPLING,
  toolSyntax = 'hermes',
}: {
  name: string;
  directiveSecret: string;
  receiptKey: ReceiptKey;
  model?: string;
  contextLength?: number;
  port?: number;
  /** The modes that its health claims to have routers for. */
  modes?: readonly Mode[];
  probe?: ScriptedBackend['probe'];
  scores?: ScriptedBackend['scores'];
  /** The defaults of its model. */
  sampling?: Sampling;
  toolSyntax?: ToolSyntax | null;
}): Promise<ScriptedBackend> {
  const key = directiveKey(directiveSecret);
  const frameKey = await deriveFrameKey(key);
  const checkKey = await importFrameKey(frameKey);
  const forger = await createReceiptKey(receiptKey.kid);
  let firstReceipt: string | undefined;
  let aborted = 0;
  let scored = 0;
  let decoded = 0;

  const server = createServer((request, response) => {
    answer(request, response).catch((thrown: unknown) => {
      const error = toPlimsollError(thrown);
      response.writeHead(error.status, {
        'content-type': 'application/json',
        ...(error.retryAfterSeconds !== undefined && { 'retry-after': '7' }),
      });
      response.end(JSON.stringify(error.toBody()));
    });
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (backend.behaviour === 'hang') return;
    if (request.url === '/healthz') {
      const health = {
        status: 'ok',
        backend: name,
        model: backend.model,
        context_length: contextLength,
        bundle: backend.bundle,
        draws: DRAWS,
        max_token_bytes: 16,
        modes,
        second_look: backend.probe && PROBE_VERSION,
        scores: backend.scores !== null,
        sampling,
        tool_syntax: backend.toolSyntax,
        created: MODEL_CREATED,
        ...backend.load,
      };
      return void response.end(JSON.stringify(health));
    }
    if (backend.drops > 0) {
      backend.drops--;
      return void request.socket.destroy();
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.url === SCORE_PATH) {
      const token = request.headers.authorization?.slice('Bearer '.length) ?? '';
      const asked = Uint8Array.from(Buffer.concat(chunks));
      await verifyScoreOrder(token, { keys: [await scoreKey(key)], body: asked });
      scored++;
      // The heads read to the end, whether or not anybody still waits.
      while (backend.behaviour === 'hold-scores') await sleep(5);
      if (Buffer.from(asked).includes('[[unscorable]]')) {
        throw new PlimsollError('context_length_exceeded', 'The conversation is too long to be judged.');
      }
      const { model, bundle, scores } = backend;
      return void response.end(JSON.stringify({ model, bundle, ...scores!, tokens: 12 } satisfies ScoreAnswer));
    }
    if (request.url === DECODE_PATH) {
      decoded++;
      const about = { key, bundle: backend.bundle };
      return void response.end(await scriptedDecoder(request.headers, Buffer.concat(chunks), about));
    }
    if (request.url === TOKENIZE_PATH) {
      const about = { key, contextLength, isThere: backend.tokenizes };
      return void response.end(await scriptedTokenizer(request.headers, Buffer.concat(chunks), about));
    }
    const { request: body, ids } = splitBody(Uint8Array.from(Buffer.concat(chunks)));
    const header = request.headers[DIRECTIVE_HEADER];
    const directive = await verifyDirective(typeof header === 'string' ? header : undefined, body, key);
    const sent: GenerateBody = JSON.parse(Buffer.from(body).toString());
    const asked = GenerateRequest.parse(sent);
    backend.seen.push({ directive, request: sent });

    const behaviour = backend.behaviour;
    if (behaviour === 'refuse-overloaded') throw new PlimsollError('overloaded', 'The queue is full.');
    if (behaviour === 'refuse-directive') throw new PlimsollError('directive_invalid', 'Not from here.');
    if (behaviour === 'refuse-as-a-proxy-would') return void response.writeHead(502).end('<h1>Bad Gateway</h1>');
    if (behaviour === 'die-before-start') return void request.socket.destroy();
    if (asked.model !== backend.model) throw new PlimsollError('model_not_found', 'Not here.', { param: 'model' });
    const texts = asked.prompt === null ? asked.messages.map(({ content }) => content) : [String(asked.prompt)];
    const words = texts.flatMap((text) => text.split(' ')).length;
    const promptTokens = behaviour === 'count-many' ? 150 : words;
    if (promptTokens > contextLength) {
      throw new PlimsollError(
        'context_length_exceeded',
        `This model's maximum context length is ${contextLength} tokens; your prompt has ${promptTokens}.`,
        { param: 'messages' },
      );
    }
    const resumed = await verifyResume(directive, { ids, bundle: backend.bundle, draws: DRAWS, key: checkKey });
    await write({ directive, asked, promptTokens, resumed, response });
  }

  async function write({
    directive,
    asked,
    promptTokens,
    resumed,
    response,
  }: {
    directive: Directive;
    asked: GenerateRequest;
    promptTokens: number;
    resumed: Awaited<ReturnType<typeof verifyResume>>;
    response: ServerResponse;
  }): Promise<void> {
    const { behaviour } = backend;
    let isOpen = true;
    response.on('close', () => {
      isOpen = false;
      if (!response.writableEnded) aborted++;
    });
    const untilClosed = async () => {
      while (isOpen) await sleep(5);
    };
    const send = (frame: Frame) => response.write(`${JSON.stringify(frame)}\n`);

    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    if (behaviour === 'never-start') return untilClosed();
    if (behaviour === 'wait-first' || behaviour === 'wait-forever') {
      for (let ahead = 6; isOpen && (ahead > 0 || behaviour === 'wait-forever'); ahead--) {
        send({ type: 'waiting', ahead: Math.max(ahead, 1) });
        await sleep(100);
      }
      if (!isOpen) return;
    }
    if (behaviour === 'error-first') {
      send({ type: 'error', code: 'expert_failed', message: 'An expert failed.' });
      return void response.end();
    }
    send({
      type: 'start',
      id: directive.request,
      model: behaviour === 'start-as-another-model' ? 'another' : backend.model,
      bundle: backend.bundle,
      backend: name,
      draws: DRAWS,
      prompt_tokens: promptTokens,
    });
    if (behaviour === 'die-after-start') {
      await sleep(20);
      return void response.destroy();
    }
    for (let read = 0; isOpen && behaviour === 'read-first' && read < 7; read++) {
      send({ type: 'reading', read, of: 7 });
      await sleep(200);
    }

    const choices = resumed === null ? [...Array(asked.n).keys()] : [resumed.state.choice ?? 0];
    for (const [i, choice] of choices.entries()) {
      const remaining = choices.length - 1 - i;
      await writeChoice({ directive, asked, promptTokens, resumed, response, send, choice, remaining });
      if (!isOpen || response.writableEnded || response.destroyed) return;
    }
    response.end();
  }

  /** One of the request's answers. They come one after the other, and all say the same. */
  async function writeChoice({
    directive,
    asked,
    promptTokens,
    resumed,
    response,
    send,
    choice,
    remaining,
  }: {
    directive: Directive;
    asked: GenerateRequest;
    promptTokens: number;
    resumed: Awaited<ReturnType<typeof verifyResume>>;
    response: ServerResponse;
    send: (frame: Frame) => void;
    choice: number;
    remaining: number;
  }): Promise<void> {
    const { behaviour } = backend;
    const isOpen = () => !response.closed;
    const untilClosed = async () => {
      while (isOpen()) await sleep(5);
    };
    const whose = resumed === null && choice > 0 ? { choice } : {};
    const found = resumed === null ? look(directive, backend.probe) : resumed.state.second_look;
    const second_look = behaviour === 'hide-the-look' ? null : found;
    const after = second_look && lineAfterLook(directive.line, directive.second_look!, second_look.categories);
    const line = behaviour === 'stay-loose-after-the-look' ? directive.line : (after?.line ?? directive.line);
    const isRefused = after?.refused === true || behaviour === 'refuse-on-its-own';
    const script: Script = isRefused
      ? { frames: [], finishReason: 'content_filter' }
      : writeScript({ ...directive, line }, asked, {
          endless: behaviour === 'answer-forever',
          words: backend.says?.(asked),
        });
    const written: TokenFrame[] = [];
    let text = '';
    const from = resumed?.state.position ?? 0;
    const parts = resumed === null ? [] : partsBefore(resumed.state);
    const resume = resumed?.state ?? null;
    const { resume: _, ...signed } = directive;
    const about = { directive: signed, bundle: backend.bundle, draws: DRAWS, backend: name, parts, from, choice };
    const mark = markFrames(frameKey, { ...about, secondLook: second_look, resume, ids: resumed?.ids ?? [] });
    let weights = resume === null ? NO_WEIGHTS : { count: from, ...resume.weights };
    for (const frame of script.frames) {
      if (written.length < from) {
        if (frame.type === 'token') written.push(frame);
        text += frame.text;
        continue;
      }
      if (behaviour === 'answer-slowly' || behaviour === 'answer-forever') await sleep(10);
      if (!isOpen()) return;
      if (frame.type === 'token') {
        const marked = mark(frame);
        weights = marked.weights;
        written.push(frame);
        const isForged = behaviour === 'wrong-mac-midway' && written.length - from > 3;
        send({ ...frame, ...whose, mark: isForged ? { ...marked.mark, mac: 'A'.repeat(43) } : marked.mark });
      } else send({ ...frame, ...whose });
      text += frame.text;
      if (written.length - from < 3 || !behaviour.endsWith('-midway')) continue;
      // We wait a moment, so that what was written is sent before the connection closes.
      await sleep(20);
      if (behaviour.endsWith('-for-good-midway')) backend.behaviour = 'die-before-start';
      if (behaviour === 'die-midway' || behaviour === 'die-for-good-midway') return void response.destroy();
      if (behaviour === 'wrong-mac-midway') continue;
      if (behaviour === 'cut-midway') return void response.end('{"type":"token","id":10');
      if (behaviour === 'stall-midway' || behaviour === 'stall-for-good-midway') return untilClosed();
      if (behaviour === 'bad-frame-midway') return void response.end('{"type":"token","id":"seven"}\n');
      send({ type: 'error', code: 'expert_failed', message: 'An expert failed.' });
      return void response.end();
    }
    if (behaviour === 'end-without-receipt') return void response.end();

    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: written.length,
      total_tokens: promptTokens + written.length,
      prompt_tokens_details: { cached_tokens: behaviour === 'find-more-than-asked' ? promptTokens + 1 : 1 },
    };
    const spent = written.at(-1)?.spent ?? 0;
    const receipt: Receipt = {
      ...(await scriptedReceipt({
        ...{ directive, asked, model: backend.model, bundle: backend.bundle, draws: DRAWS, line, second_look, choice },
        before: parts,
        own: { backend: name, from, to: written.length, spent },
      })),
      weights: isRefused
        ? { min: 0, mean: 0, max: 0 }
        : {
            min: behaviour === 'cross-the-floor' ? line.floor - 0.01 : weights.min,
            mean: weights.mean,
            max: weights.max,
          },
      spent: behaviour === 'overspend' ? (directive.line.budget ?? 0) + 0.01 : spent,
      ran: {
        safety: behaviour === 'leave-safety-out' ? written.length - 1 : written.length,
        helpfulness: written.length,
      },
      usage,
      finish_reason: script.finishReason,
      answer_digest: await sha256Hex(behaviour === 'say-other-words' ? `${text}!` : text),
    };
    const { privateKey } = behaviour === 'forge-receipt' ? forger : receiptKey;
    const lie = Object.hasOwn(LIES, behaviour) ? LIES[behaviour as keyof typeof LIES] : {};
    const jws = await signReceipt({ ...receipt, ...lie }, { privateKey, kid: receiptKey.kid });
    firstReceipt ??= jws;
    send({
      type: 'end',
      ...whose,
      ...(remaining > 0 && { remaining }),
      finish_reason: script.finishReason,
      usage,
      weights: receipt.weights,
      spent: receipt.spent,
      ran: receipt.ran,
      second_look,
      receipt: behaviour === 'replay-receipt' ? firstReceipt : jws,
    });
    if (behaviour === 'go-on-after-end') send({ type: 'text', text: ' And one thing more.' });
  }

  const backend = {
    url: '',
    name,
    model,
    bundle: 'b1',
    probe,
    scores,
    load: null as ScriptedBackend['load'],
    toolSyntax,
    says: null as ScriptedBackend['says'],
    behaviour: 'answer' as Behaviour,
    drops: 0,
    tokenizes: true,
    seen: [] as ScriptedBackend['seen'],
    get aborted() {
      return aborted;
    },
    get scored() {
      return scored;
    },
    get decoded() {
      return decoded;
    },
    close: () => close(server),
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  backend.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return backend;
}

function look({ line, second_look }: Directive, probe: ScriptedBackend['probe']): LookReport | null {
  if (second_look === null) return null;
  const categories = lookCategories(JUDGEMENTS.map((judgement) => probe?.[judgement] ?? 0));
  const { tightened, because } = lineAfterLook(line, second_look, categories);
  return { version: PROBE_VERSION, categories, tightened, because };
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
