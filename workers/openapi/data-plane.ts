/** The routes for clients. */
import * as z from 'zod';
import { ChatCompletion, ChatCompletionChunk } from '#shared/api/chat-answer.ts';
import { ChatRequest } from '#shared/api/chat-request.ts';
import { Completion, CompletionChunk } from '#shared/api/completion-answer.ts';
import { CompletionRequest } from '#shared/api/completion-request.ts';
import { Model, ModelList } from '#shared/api/models.ts';
import { Moderation, ModerationRequest } from '#shared/api/moderation.ts';
import { CACHE_STATES } from '#shared/api/plimsoll-extension.ts';
import { DeletedResponse, InputItemList, ResponseObject } from '#shared/api/responses-answer.ts';
import { ResponseEvent } from '#shared/api/responses-events.ts';
import { ResponsesRequest } from '#shared/api/responses-request.ts';
import { DetokenizeAnswer, DetokenizeRequest, TokenizeAnswer, TokenizeRequest } from '#shared/api/tokenize.ts';
import { HeartbeatReply } from '#shared/protocol/heartbeat.ts';
import { InputItemsQuery, RetrieveQuery } from '../responses/stored.ts';
import { json, type Operations } from './operation.ts';

const KeySet = z
  .looseObject({ keys: z.array(z.looseObject({ kty: z.string(), kid: z.string() })) })
  .describe('a JSON Web Key Set');

const ASKED_HEADERS = {
  'Cache-Control': 'no-cache, no-store or max-age: whether an answer that was made before will do',
  'Idempotency-Key': 'the same for a request that is sent again, which is then charged once',
};
const ANSWER_HEADERS = {
  'x-plimsoll-cache': z.enum(CACHE_STATES),
  'x-plimsoll-ignored': z.string().describe('fields of the request that changed nothing').optional(),
  age: z.int().min(0).optional(),
};

export const DATA_PLANE: Operations = {
  'GET /': {
    summary: 'What this is: a page for a browser, JSON for others',
    access: 'anyone',
    answers: { 'application/json': null, 'text/html': null },
  },
  'POST /v1/chat/completions': {
    summary: "OpenAI's chat completions, within the tenant's line",
    access: 'key',
    body: ChatRequest,
    takes: ASKED_HEADERS,
    gives: ANSWER_HEADERS,
    answers: { 'application/json': ChatCompletion, 'text/event-stream': ChatCompletionChunk },
  },
  'POST /v1/completions': {
    summary: "OpenAI's completions of plain prompts, within the tenant's line",
    access: 'key',
    body: CompletionRequest,
    takes: ASKED_HEADERS,
    gives: ANSWER_HEADERS,
    answers: { 'application/json': Completion, 'text/event-stream': CompletionChunk },
  },
  'POST /v1/responses': {
    summary: "OpenAI's responses, within the tenant's line",
    access: 'key',
    body: ResponsesRequest,
    takes: ASKED_HEADERS,
    gives: ANSWER_HEADERS,
    answers: { 'application/json': ResponseObject, 'text/event-stream': ResponseEvent },
  },
  'GET /v1/responses/:id': {
    summary: 'A stored response',
    access: 'key',
    query: RetrieveQuery,
    answers: json(ResponseObject),
  },
  'DELETE /v1/responses/:id': { summary: 'Erases a stored response', access: 'key', answers: json(DeletedResponse) },
  'GET /v1/responses/:id/input_items': {
    summary: 'What a stored response was asked with',
    access: 'key',
    query: InputItemsQuery,
    answers: json(InputItemList),
  },
  'GET /v1/models': { summary: 'The models', access: 'key', answers: json(ModelList) },
  'GET /v1/models/:id{.+}': { summary: 'One model', access: 'key', answers: json(Model) },
  'POST /v1/moderations': {
    summary: 'What the classifier finds in a text',
    access: 'key',
    body: ModerationRequest,
    answers: json(Moderation),
  },
  'POST /tokenize': {
    summary: 'The tokens of a text or a conversation, as vLLM has it',
    access: 'key',
    body: TokenizeRequest,
    answers: json(TokenizeAnswer),
  },
  'POST /detokenize': {
    summary: 'The text of tokens, as vLLM has it',
    access: 'key',
    body: DetokenizeRequest,
    answers: json(DetokenizeAnswer),
  },
  'GET /.well-known/jwks.json': {
    summary: 'The public keys that receipts are checked with',
    access: 'anyone',
    answers: json(KeySet),
  },
  'GET /healthz': {
    summary: 'Whether a request would find a backend',
    access: 'anyone',
    answers: json(
      z.strictObject({
        status: z.enum(['ok', 'no_backend']),
        backends: z.strictObject({ alive: z.int(), total: z.int() }),
      }),
    ),
  },
  'GET /health': {
    summary: 'The same as vLLM has it: 200 or 503, and no body',
    access: 'anyone',
    answers: {},
  },
  'GET /version': {
    summary: 'Which version of Plimsoll this is',
    access: 'anyone',
    answers: json(z.strictObject({ version: z.string() })),
  },
  'POST /pool/v1/heartbeat': {
    summary: 'A backend says that it is there. It needs a signed heartbeat as its bearer token',
    access: 'anyone',
    answers: json(HeartbeatReply),
  },
  'GET /livez': {
    summary: 'Whether the Worker runs and has its settings',
    access: 'anyone',
    answers: json(z.strictObject({ status: z.literal('ok') })),
  },
  'GET /readyz': {
    summary: 'Whether a request could be answered; 503 if not',
    access: 'anyone',
    answers: json(
      z.strictObject({
        status: z.enum(['ready', 'not_ready']),
        backends: z.strictObject({ alive: z.int(), total: z.int() }),
        tenants: z.enum(['ok', 'unreachable']),
      }),
    ),
  },
  'GET /openapi.json': { summary: 'This document', access: 'anyone', answers: json(null) },
};
