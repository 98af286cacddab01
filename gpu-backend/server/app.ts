/**
 * The backend's HTTP interface. `POST /v1/generate` works for anyone with a directive signed for
 * exactly this body; there is no other way to a token. The main path, top to bottom: body,
 * directive, request, prompt, engine, frames.
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { PLAIN_SAMPLING, type Sampling } from '#shared/api/sampling.ts';
import type { BackendMode, Mode } from '#shared/line/line.ts';
import { DECODE_PATH } from '#shared/protocol/decode.ts';
import { type DrawSecrets, drawKeysOf, drawSecretById } from '#shared/protocol/derive-draw-key.ts';
import { DIRECTIVE_HEADER, type Directive, verifyDirectiveUnderAny } from '#shared/protocol/directive.ts';
import type { Role } from '#shared/protocol/expert-directive.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import { splitBody, verifyResume } from '#shared/protocol/resume.ts';
import { SCORE_PATH } from '#shared/protocol/score.ts';
import { TOKENIZE_PATH } from '#shared/protocol/tokenize.ts';
import type { ToolSyntax } from '#shared/tools/tool-syntax.ts';
import { stateOf } from '../engine/answer-state.ts';
import type { Engine } from '../engine/engine.ts';
import { answerFrames } from './answer-frames.ts';
import { decodeRoute } from './decode-route.ts';
import { drainRoute } from './drain-route.ts';
import type { Drains } from './drains.ts';
import type { EncodePrompt } from './encode-prompt.ts';
import { type EncodeRaw, encodeAsked } from './encode-raw.ts';
import { engineRequest } from './engine-request.ts';
import { frameKeys } from './frame-keys.ts';
import { frameStream } from './frame-stream.ts';
import { onlyOwnHostNames } from './host-names.ts';
import type { Log } from './log.ts';
import { logFailure } from './log-failure.ts';
import { Metrics } from './metrics.ts';
import { parseRequest } from './parse-request.ts';
import type { SignReceipt } from './receipt-signer.ts';
import { type Scoring, scoreRoute } from './score-route.ts';
import { type TokenizerWorker, tokenizeRoute } from './tokenize-route.ts';
import { type BeginTraced, type Traced, traceRoute } from './traced-request.ts';
import { createUsedDirectives } from './used-directives.ts';

export type AppOptions = {
  engine: Engine;
  encodePrompt: EncodePrompt;
  /** null or left out: it takes no prompts without turns. */
  encodeRaw?: EncodeRaw | null | undefined;
  /** A directive may be signed with any of them. */
  directiveKeys: readonly [Uint8Array, ...Uint8Array[]];
  /** Newest first. null: it answers nothing itself. */
  drawSecrets: DrawSecrets | null;
  /** null: it answers nothing itself. */
  sign: SignReceipt | null;
  backendId: string;
  /** When the bundle was written here, in Unix seconds. The list of models shows it. */
  created?: number | undefined;
  /** The bundle's defaults. The edge fills them in, so a request never lacks one. */
  sampling?: Sampling | undefined;
  /** In which its model writes calls of tools; null or left out if it takes no tools. */
  toolSyntax?: ToolSyntax | null | undefined;
  /** The experts whose rows it gives to edges. */
  serves?: readonly Role[];
  /** false: it gives only rows, and answers nothing itself. */
  answers?: boolean;
  bodyLimitBytes: number;
  /** The only host names to answer to; null means any. */
  hostNames: readonly string[] | null;
  /** The bundle's reward and cost heads; null or left out if it has none. */
  scoring?: Scoring | null | undefined;
  /** null or left out: it tokenizes nothing for others. */
  tokenize?: TokenizerWorker | null;
  /** Rows in one batch, and requests that may wait. Left out: nobody has said. */
  capacity?: { rows: number; waiting: number } | undefined;
  /** While the backend drains, nothing new begins. */
  drains: Drains;
  /** Begins what traces and logs each request. */
  beginTraced: BeginTraced;
  /** For the operator. Clients never see it. */
  log: Log;
};

export function createApp(options: AppOptions): Hono<Traced> {
  const {
    engine,
    encodePrompt,
    encodeRaw = null,
    directiveKeys,
    drawSecrets,
    sign,
    backendId,
    created,
    bodyLimitBytes,
  } = options;
  const { hostNames, drains, log, beginTraced, sampling = PLAIN_SAMPLING, scoring = null } = options;
  const { serves = [], answers = true, toolSyntax = null, tokenize = null, capacity } = options;
  const draining = () => drains.isDraining;
  const used = createUsedDirectives();
  const metrics = new Metrics(engine);
  const app = new Hono<Traced>();
  app.use(onlyOwnHostNames(hostNames));
  // Whoever comes while the backend drains should not come back over the same connection.
  app.use(async (c, next) => {
    await next();
    if (draining()) c.header('connection', 'close');
  });

  const tooLarge = () => {
    throw new PlimsollError('request_too_large', `The body is larger than ${bodyLimitBytes} bytes.`);
  };
  const refuseWhileDraining = () => {
    if (draining()) throw new PlimsollError('backend_unavailable', 'The backend is draining.');
  };
  const frameKeyOf = frameKeys(directiveKeys);
  // A resumed answer brings its ids along.
  const maxSize = bodyLimitBytes + MOST_ID_CHARACTERS * engine.info.contextLength;
  app.post('/v1/generate', bodyLimit({ maxSize, onError: tooLarge }), async (c) => {
    const measured = metrics.request();
    const traced = beginTraced('generate', (name) => c.req.header(name));
    const { over } = traced;
    c.set('traced', traced);
    const left = new AbortController();
    const signal = AbortSignal.any([left.signal, c.req.raw.signal]);
    try {
      refuseWhileDraining();
      if (!answers || drawSecrets === null || sign === null) {
        throw new PlimsollError('backend_unavailable', 'This backend gives only rows of its experts.');
      }
      const [drawSecret] = drawSecrets;
      const { request: body, ids } = splitBody(new Uint8Array(await c.req.arrayBuffer()));
      if (body.byteLength > bodyLimitBytes) tooLarge();
      const { directive, key } = await verifyDirectiveUnderAny(c.req.header(DIRECTIVE_HEADER), body, directiveKeys);
      traced.isFor(directive);
      used.take(directive.id);
      const request = parseRequest(body);
      if (request.model !== engine.info.model) {
        throw new PlimsollError('model_not_found', `This backend serves ${engine.info.model}, not ${request.model}.`, {
          param: 'model',
        });
      }
      const bundle = engine.info.digest;
      // Both are those that the answer began with, also while the deployment changes its secrets.
      const frameKey = await frameKeyOf(key);
      const secret = drawSecretById(drawSecrets, directive.resume?.draws ?? drawSecret.id) ?? drawSecret;
      const draws = secret.id;
      const resumed = await verifyResume(directive, { ids, bundle, draws, key: frameKey.check });
      const resume = resumed && stateOf(resumed);
      const prompt = encodeAsked(request, { encodePrompt, encodeRaw });
      const { promptIds } = prompt;
      const keyOf = drawKeysOf(secret, { directive, bundle, promptIds, request });
      const choices = choicesHere(request, directive);
      const furtherKeys = Array.from({ length: choices.count - 1 }, (_, i) => keyOf(choices.first + 1 + i));
      const keys = await Promise.all([keyOf(choices.first), ...furtherKeys]);
      // The body may have taken long to come.
      refuseWhileDraining();
      const events = engine.generate(engineRequest(request, { directive, prompt, keys, resume }), { signal });
      // The first event decides: an HTTP error, or an answer that has begun.
      const first = await events.next();
      const { info } = engine;
      const answer = { directive, request, choices, info, backendId, draws, frameKey: frameKey.make, resume };
      const context = { ...answer, sign, metrics: measured, signal, log: traced.log, over };
      return frameStream(answerFrames(again(first, events), context), () => left.abort(new Error('the client left')));
    } catch (thrown) {
      if (signal.aborted) {
        measured.cancelled();
        over('cancelled');
        // Nobody reads this. It is nginx's status for a client that closed its request.
        return new Response(null, { status: 499 });
      }
      const { code } = toPlimsollError(thrown);
      measured.failed(code);
      over(code);
      throw thrown;
    }
  });
  app.all('/v1/generate', (c) => {
    const response = errorResponse(new PlimsollError('method_not_allowed', 'Use POST.'), c, log);
    response.headers.set('allow', 'POST');
    return response;
  });

  app.post(
    SCORE_PATH,
    traceRoute('score', beginTraced),
    bodyLimit({ maxSize: bodyLimitBytes, onError: tooLarge }),
    scoreRoute({ scoring, info: () => engine.info, directiveKeys, refuseWhileDraining }),
  );

  app.post(
    DECODE_PATH,
    traceRoute('decode', beginTraced),
    bodyLimit({ maxSize: bodyLimitBytes, onError: tooLarge }),
    decodeRoute({ decode: encodeRaw?.decode ?? null, info: () => engine.info, directiveKeys }),
  );

  app.post(
    TOKENIZE_PATH,
    traceRoute('tokenize', beginTraced),
    bodyLimit({ maxSize: bodyLimitBytes, onError: tooLarge }),
    tokenizeRoute({ tokenize, info: () => engine.info, directiveKeys, refuseWhileDraining }),
  );

  app.get('/healthz', (c) => {
    const { model, contextLength, maxTokenBytes, digest, experts, provider, modes, secondLook } = engine.info;
    const { running, waiting, rows, prefixes } = engine.stats();
    const status = statusOf(engine, draining());
    return c.json(
      {
        status,
        backend: backendId,
        model,
        context_length: contextLength,
        max_token_bytes: maxTokenBytes,
        bundle: digest,
        experts,
        provider,
        created,
        draws: drawSecrets?.[0].id,
        modes: offeredModes(modes, { serves, answers }),
        serves,
        second_look: secondLook,
        scores: scoring !== null,
        sampling,
        tool_syntax: toolSyntax,
        engine: engine.state,
        running,
        waiting,
        rows,
        capacity,
        prefixes: {
          queried_tokens: prefixes.queriedTokens,
          found_tokens: prefixes.foundTokens,
          bytes: prefixes.bytes,
        },
      },
      status === 'ok' ? 200 : 503,
    );
  });
  // Health says whether to send requests here; this says whether to leave the process alone.
  app.get('/livez', (c) => {
    const status = statusOf(engine, draining());
    return c.json({ status }, status === 'failed' ? 503 : 200);
  });
  app.post('/drain', drainRoute({ drains, directiveKeys, backendId }));
  app.get('/metrics', async (c) => {
    return c.body(await metrics.registry.metrics(), 200, { 'content-type': metrics.registry.contentType });
  });

  app.notFound(() => {
    throw new PlimsollError('unknown_url', 'There is nothing at this address.');
  });
  app.onError((thrown, c) => errorResponse(thrown, c, c.get('traced')?.log ?? log));
  return app;
}

/** The modes that edges may send requests here in. */
export function offeredModes(
  modes: readonly BackendMode[],
  { serves, answers }: { serves: readonly Role[]; answers: boolean },
): Mode[] {
  return [...(answers ? modes : []), ...(serves.length > 0 ? (['edge'] as const) : [])];
}

/**
 * Which of the request's answers are drawn here: all of them, or the one that goes on. The MAC of
 * its state names it, so no other can be asked for.
 */
function choicesHere({ n }: GenerateRequest, { resume }: Directive): { first: number; count: number } {
  if (resume === null) return { first: 0, count: n };
  const first = resume.choice ?? 0;
  if (first < n) return { first, count: 1 };
  throw new PlimsollError('directive_invalid', `The directive goes on with answer ${first} of ${n}.`);
}

/**
 * A backend that restarts its engine is not `ok`, so the edge prefers others. Requests that come
 * nevertheless wait. While an idle engine loads, nothing is wrong: that is what waking it up takes.
 */
function statusOf({ alive, state }: Engine, draining: boolean): 'ok' | 'loading' | 'draining' | 'failed' {
  if (!alive) return 'failed';
  if (draining) return 'draining';
  return state === 'restarting' ? 'loading' : 'ok';
}

/** Of a token's id in JSON, with the comma after it: no vocabulary has a million tokens. */
const MOST_ID_CHARACTERS = 7;

/** All the events again, including the first one, which was already taken. */
async function* again<T>(first: IteratorResult<T, void>, rest: AsyncGenerator<T, void, void>) {
  if (!first.done) yield first.value;
  yield* rest;
}

function errorResponse(thrown: unknown, c: Context, log: AppOptions['log']): Response {
  const error = toPlimsollError(thrown);
  logFailure(log, `${c.req.method} ${c.req.path}`, error);
  const headers = new Headers({ 'content-type': 'application/json' });
  // The rest of the body is not read, so nothing else can come over this connection.
  if (error.code === 'request_too_large') headers.set('connection', 'close');
  if (error.retryAfterSeconds !== undefined) headers.set('retry-after', String(error.retryAfterSeconds));
  return new Response(JSON.stringify(error.toBody()), { status: error.status, headers });
}
