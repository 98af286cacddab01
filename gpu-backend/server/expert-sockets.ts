/**
 * Gives the rows of one expert to an edge that mixes experts itself: `/v1/experts`, a WebSocket for
 * each expert of each answer (shared/protocol/expert-messages.ts). Like an answer, it takes a
 * directive signed for exactly this request. Nothing is drawn here, so there is no receipt. The
 * socket is the session: when it closes, the row is free again.
 */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { type DrawKey, NO_WEIGHTS } from '#shared/gate/index.ts';
import { type DrawSecrets, drawKeysOf, drawSecretById } from '#shared/protocol/derive-draw-key.ts';
import {
  EXPERT_HEADER,
  EXPERTS_PATH,
  type ExpertDirective,
  type ExpertKeys,
  type Role,
  verifyExpertDirective,
} from '#shared/protocol/expert-directive.ts';
import { type ExpertRow, encodeRow, Open, packVocabulary, type Said, Told } from '#shared/protocol/expert-messages.ts';
import type { GenerateRequest } from '#shared/protocol/generate.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import type { Engine, TakenToken } from '../engine/engine.ts';
import { mostTokens } from '../engine/kv-memory.ts';
import { promptsOf } from '../engine/needed-sources.ts';
import type { Drains } from './drains.ts';
import type { EncodePrompt } from './encode-prompt.ts';
import { engineRequest } from './engine-request.ts';
import { logFailure } from './log-failure.ts';
import { parseRequest } from './parse-request.ts';
import type { BeginTraced, TracedRequest } from './traced-request.ts';
import { createUsedDirectives } from './used-directives.ts';
import { watchEdge } from './watch-edge.ts';

export type ExpertOptions = {
  engine: Engine;
  encodePrompt: EncodePrompt;
  keys: ExpertKeys;
  /** null: it gives no rows of the safety expert. */
  drawSecrets: DrawSecrets | null;
  backendId: string;
  /** The experts that may be asked here. */
  roles: readonly Role[];
  /** How tokens become text. The edge needs it, because it writes the answer. */
  vocabulary: Vocabulary;
  bodyLimitBytes: number;
  drains: Drains;
  /** Begins what traces and logs each session. */
  beginTraced: BeginTraced;
};

/** Of a token's id in JSON, with the comma after it. */
const MOST_ID_CHARACTERS = 7;

/** Serves until the server closes. Returns what ends all sockets at once. */
export function serveExperts(server: Server, options: ExpertOptions): () => void {
  const { keys, roles, drains, beginTraced } = options;
  const used = createUsedDirectives();
  const maxPayload = 2 * options.bodyLimitBytes + MOST_ID_CHARACTERS * options.engine.info.contextLength;
  const sockets = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false });

  async function admit(request: IncomingMessage, traced: TracedRequest): Promise<ExpertDirective> {
    if (request.url?.split('?', 1)[0] !== EXPERTS_PATH) {
      throw new PlimsollError('unknown_url', 'There is nothing at this address.');
    }
    if (drains.isDraining) throw new PlimsollError('backend_unavailable', 'The backend is draining.');
    const token = request.headers[EXPERT_HEADER];
    const directive = await verifyExpertDirective(typeof token === 'string' ? token : undefined, keys);
    traced.isFor(directive);
    used.take(directive.id);
    if (roles.includes(directive.expert)) return directive;
    throw new PlimsollError('backend_unavailable', `This backend does not serve the expert ${directive.expert}.`);
  }

  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const traced = beginTraced('experts', (name) => {
      const value = request.headers[name];
      return typeof value === 'string' ? value : undefined;
    });
    admit(request, traced).then(
      (directive) => {
        let isOpen = false;
        sockets.handleUpgrade(request, socket, head, (ws) => {
          isOpen = true;
          void serveSession(ws, directive, { ...options, traced });
        });
        // ws has answered a bad handshake itself, and says nothing of it, nor of an edge that left.
        if (!isOpen) traced.over(socket.destroyed ? 'cancelled' : 'invalid_request');
      },
      (thrown: unknown) => {
        const error = toPlimsollError(thrown);
        logFailure(traced.log, `GET ${EXPERTS_PATH}`, error);
        traced.over(error.code);
        refuse(socket, error);
      },
    );
  });
  return () => {
    for (const ws of sockets.clients) ws.terminate();
  };
}

function refuse(socket: Duplex, error: PlimsollError): void {
  const body = JSON.stringify(error.toBody());
  socket.end(
    `HTTP/1.1 ${error.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

async function serveSession(
  ws: WebSocket,
  directive: ExpertDirective,
  { traced, ...options }: ExpertOptions & { traced: TracedRequest },
): Promise<void> {
  const { log } = traced;
  // An edge that has its answer closes the socket, and so does one whose client has left.
  let outcome = 'ended';
  const { vocabSize } = options.engine.info;
  const left = new AbortController();
  const leave = () => left.abort(new Error('the edge left'));
  ws.once('close', leave);
  ws.on('error', leave);
  const edge = watchEdge({ onGone: (why) => left.abort(why) });
  const say = (said: Said) => ws.send(JSON.stringify(said));
  const opened = Promise.withResolvers<Open>();
  left.signal.addEventListener('abort', () => opened.reject(left.signal.reason));
  let onTake: ((taken: TakenToken) => void) | null = null;
  ws.on('message', (data, isBinary) => {
    try {
      if (isBinary) throw new PlimsollError('invalid_request', 'Found a binary message, wanted JSON.');
      const message: unknown = JSON.parse(String(data));
      if (onTake === null) {
        opened.resolve(Open.parse(message));
        edge.opened();
        return;
      }
      const told = Told.parse(message);
      if (told.type === 'here') {
        edge.isHere();
        return;
      }
      const { type: _, ...taken } = told;
      if (taken.id >= vocabSize) throw new RangeError(`the model's ids are 0 to ${vocabSize - 1}, found ${taken.id}`);
      edge.took();
      onTake(taken);
    } catch (cause) {
      const error = new PlimsollError('invalid_request', 'The message is no open, no take, and no here.', { cause });
      opened.reject(error);
      left.abort(error);
    }
  });
  try {
    const open = await opened.promise;
    const takes = {
      listen: (listener: (taken: TakenToken) => void) => {
        onTake = listener;
      },
    };
    onTake = () => {};
    const sendRow = (row: ExpertRow) => {
      ws.send(encodeRow(row));
      edge.gaveRow();
    };
    await tellRows(open, { directive, takes, signal: left.signal, say, sendRow, options });
  } catch (thrown) {
    const error = toPlimsollError(thrown);
    if (ws.readyState === ws.OPEN) {
      outcome = error.code;
      logFailure(log, `expert ${directive.expert} of request ${directive.request}`, error);
      say({ type: 'error', code: error.code, message: error.message });
    }
  } finally {
    edge.stop();
    ws.close();
    traced.over(outcome);
  }
}

async function tellRows(
  open: Open,
  {
    directive,
    takes,
    signal,
    say,
    sendRow,
    options,
  }: {
    directive: ExpertDirective;
    takes: { listen(listener: (taken: TakenToken) => void): void };
    signal: AbortSignal;
    say: (said: Said) => void;
    sendRow: (row: ExpertRow) => void;
    options: ExpertOptions;
  },
): Promise<void> {
  const { engine, encodePrompt, backendId, vocabulary, bodyLimitBytes } = options;
  const { info } = engine;
  const body = Buffer.from(open.body);
  if (body.byteLength > bodyLimitBytes) {
    throw new PlimsollError('request_too_large', `The body is larger than ${bodyLimitBytes} bytes.`);
  }
  if (directive.digest !== (await sha256Hex(body))) {
    throw new PlimsollError('directive_invalid', 'The directive belongs to another request.');
  }
  const request = parseRequest(body);
  checkAsked(request, info.model);
  const prompt = encodePrompt(request.messages, request.tools);
  const { expert, top_k: topK, ahead } = directive;
  const draw = expert === 'safety' ? await drawOf(request, { open, directive, prompt, options }) : null;
  const begins = open.ids.length === 0;
  // Only the safety expert's row looks at the prompt, once.
  const looks = begins && expert === 'safety';
  const asked = engineRequest(
    {
      ...request,
      // Whoever draws from the rows knows what they say about tokens.
      ...{ stop: [], ignore_eos: true, min_tokens: 0, logprobs: false, top_logprobs: 0 },
      // Whoever does not know the draws guesses the likeliest token.
      ...(draw === null && { temperature: 0 }),
    },
    {
      directive: { ...directive, second_look: looks ? directive.second_look : null },
      prompt,
      keys: [draw?.key ?? NO_KEY],
      resume: begins ? null : { ids: open.ids, spent: 0, weights: NO_WEIGHTS, ran: {} },
    },
  );
  const [ownPrompt] = promptsOf(asked, [expert]);
  const { contextLength, memory } = info;
  const size = { longest: ownPrompt?.length ?? 0, rows: 1, contextLength, memory };
  const rows = { expert, topK, ahead };
  for await (const event of engine.generate({ ...asked, rows }, { signal, takes })) {
    if (event.type === 'waiting' || event.type === 'reading') say({ type: event.type });
    else if (event.type === 'start') {
      say({
        type: 'start',
        backend: backendId,
        model: info.model,
        bundle: info.digest,
        vocab_size: info.vocabSize,
        experts: info.experts,
        prompt_tokens: event.prompt_tokens,
        most_tokens: mostTokens(request.max_tokens, size),
        proposal: info.proposal ?? routerOf(info.router),
        ...(draw !== null && { draws: draw.secret, key: [...draw.key] }),
        ...(request.repetition_penalty !== 1 && { prompt_ids: [...prompt.promptIds] }),
        ...(open.vocabulary && { vocabulary: packVocabulary(vocabulary, info.vocabSize) }),
      });
    } else if (event.type === 'row') {
      if (event.second_look) say({ type: 'looked', report: event.second_look });
      sendRow(event.row);
    } else if (event.type === 'end' && event.second_look) {
      // The look has refused the answer, so it has no row.
      say({ type: 'looked', report: event.second_look });
    }
  }
}

/** What a helpfulness expert's guesses are drawn with: at temperature 0, nothing is. */
const NO_KEY: DrawKey = [0, 0, 0, 0];

/**
 * The key of the answer's draws, and the id of its secret. Only the safety expert's backend tells
 * it, and only its guesses follow from it: a helpfulness expert that knows a draw could choose it
 * with its row.
 */
async function drawOf(
  request: GenerateRequest,
  {
    open,
    directive,
    prompt,
    options: { drawSecrets, engine },
  }: {
    open: Open;
    directive: ExpertDirective;
    prompt: { promptIds: readonly number[] };
    options: Pick<ExpertOptions, 'drawSecrets' | 'engine'>;
  },
): Promise<{ secret: string; key: DrawKey }> {
  if (drawSecrets === null) throw new PlimsollError('backend_unavailable', 'This backend has no secret to draw with.');
  const [newest] = drawSecrets;
  // Also while the deployment changes its secret.
  const secret = (open.draws !== null && drawSecretById(drawSecrets, open.draws)) || newest;
  const { digest: bundle } = engine.info;
  const drawn = { directive, bundle, promptIds: prompt.promptIds, request, rows: directive.top_k };
  return { secret: secret.id, key: await drawKeysOf(secret, drawn)(0) };
}

function checkAsked(request: GenerateRequest, model: string): void {
  if (request.model !== model) {
    throw new PlimsollError('model_not_found', `This backend serves ${model}, not ${request.model}.`, {
      param: 'model',
    });
  }
  const { n, echo, prompt } = request;
  if (n > 1 || echo || prompt !== null) {
    throw new PlimsollError('invalid_request', 'Rows are given for one answer to messages, without an echo.');
  }
}

function routerOf(router: Engine['info']['router']) {
  if (router !== undefined) return router;
  throw new PlimsollError('backend_unavailable', 'This model has a router that only a backend can ask.');
}
