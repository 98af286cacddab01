/** Bodies and directives at random, sent to a backend's server over the scripted engine. */
import * as fc from 'fast-check';
import { startScriptedEngine } from '#gpu-backend/engine/testing/scripted-engine.ts';
import { BackendConfig } from '#gpu-backend/server/config.ts';
import { serveEngine } from '#gpu-backend/server/start-backend.ts';
import { call, DRAW_SECRET, generateRequest, receiptKeys, SECRET } from '#gpu-backend/server/testing/backend-client.ts';
import { ERROR_CODES } from '#shared/api/errors.ts';
import type { Directive } from '#shared/protocol/directive.ts';
import { Frame } from '#shared/protocol/generate.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';

const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(-1, 1e308, 2 ** 53, '', null, [], {}),
);
const field = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 40, arbitrary: usual as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: anything });
const share = fc.double({ min: 0, max: 1, noNaN: true });

const anyChanges = fc.record(
  {
    messages: field(
      fc.array(fc.record({ role: field(fc.constant('user')), content: field(fc.string({ unit: 'grapheme' })) }), {
        minLength: 1,
        maxLength: 3,
      }),
    ),
    max_tokens: field(fc.integer({ min: 1, max: 30 })),
    stop: field(fc.array(fc.string(), { maxLength: 4 })),
    seed: field(fc.oneof(fc.integer(), fc.constantFrom('9223372036854775807', '-9223372036854775808', '1'))),
    temperature: field(fc.double({ min: 0, max: 2, noNaN: true })),
    top_p: field(share),
    top_k: field(fc.integer({ min: 0, max: 300 })),
    min_p: field(share),
    presence_penalty: field(fc.double({ min: -2, max: 2, noNaN: true })),
    frequency_penalty: field(fc.double({ min: -2, max: 2, noNaN: true })),
    repetition_penalty: field(fc.double({ min: 0.01, max: 10, noNaN: true })),
    logit_bias: field(fc.dictionary(fc.nat({ max: 300 }).map(String), fc.double({ min: -100, max: 100, noNaN: true }))),
    allowed_token_ids: field(fc.array(fc.nat({ max: 300 }), { minLength: 1 })),
    grammar: field(
      fc.constantFrom(
        { type: 'json_object' },
        { type: 'json_schema', schema: '{"type":"array","items":{"type":"integer"}}' },
        { type: 'json_schema', schema: '{"not":{}}' },
        {
          type: 'choice',
          options: [
            { type: 'literal', text: 'a' },
            { type: 'text', without: ['b'] },
          ],
        },
      ),
    ),
    min_tokens: field(fc.nat({ max: 20 })),
    ignore_eos: field(fc.boolean()),
    n: field(fc.integer({ min: 1, max: 4 })),
    logprobs: field(fc.boolean()),
    top_logprobs: field(fc.nat({ max: 20 })),
    expert_logprobs: field(fc.boolean()),
    echo: field(fc.boolean()),
  },
  { requiredKeys: [] },
);
/** Mostly without the pairs of fields that exclude each other. */
const changes = fc.tuple(anyChanges, fc.nat({ max: 20 })).map(([{ min_tokens, top_logprobs, ...rest }, n]) => ({
  ...rest,
  ...((n === 0 || rest.logprobs === true) && { top_logprobs }),
  ...((n === 0 || rest.max_tokens === undefined) && { min_tokens }),
}));
const line = fc.record(
  {
    floor: field(share),
    ceiling: field(share),
    budget: field(fc.double({ min: 0, max: 50, noNaN: true })),
    earned: field(fc.record({ start: share, rate: share })),
    mode: field(fc.constantFrom('logits', 'layers')),
    rule: field(fc.constantFrom('geometric', 'arithmetic')),
    action: field(fc.constantFrom('mix', 'safety_only')),
    opening: field(fc.record({ tokens: fc.nat({ max: 9 }), floor: share })),
  },
  { requiredKeys: [] },
);
const claims = fc.dictionary(
  fc.constantFrom('id', 'request', 'tenant', 'key', 'policy', 'classifier', 'digest', 'second_look', 'resume', 'x'),
  anything,
  { noNullPrototype: true },
);
/** Nearly always left out: one mistake hides what comes after it. */
const sometimes = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
const backendCase = fc.record({
  changes: fc.oneof({ weight: 9, arbitrary: changes }, { weight: 1, arbitrary: fc.constant({}) }),
  /** Instead of a request. */
  raw: sometimes(fc.oneof(fc.json(), fc.string({ unit: 'binary' }))),
  line,
  claims: sometimes(claims),
  token: sometimes(fc.oneof(fc.stringMatching(/^[!-~]{0,80}$/), fc.constant('a.b.c'))),
  ids: sometimes(fc.array(fc.integer({ min: -1, max: 2 ** 33 }), { maxLength: 5 })),
});

/** What a backend may answer that is no fault of its code. */
const isOurs = (code: string) => code === 'internal_error' || code === 'expert_failed';

export const backendRequests: FuzzKind = async () => {
  const { receiptPrivateJwk } = await receiptKeys();
  const { bundle: _none, ...config } = BackendConfig.parse({
    bundle: 'none',
    port: 0,
    directiveSecret: SECRET,
    drawSecret: DRAW_SECRET,
    receiptPrivateJwk,
  });
  const log: string[] = [];
  const encode = (text: string) => Array.from(new TextEncoder().encode(text)).filter((id) => id > 0);
  const backend = await serveEngine(
    await startScriptedEngine({ contextLength: 512 }),
    (messages) => ({ promptIds: [1, ...encode(messages.map(({ content }) => content).join('\n'))], rowPrompts: {} }),
    config,
    { log: (message, cause) => log.push(`${message} ${String(cause)}`) },
  );
  return openKind(
    backendCase,
    async ({ changes, raw, line, claims, token, ids }) => {
      // The casts: what is wrong with them is the case.
      const body = raw ?? JSON.stringify({ ...generateRequest(), ...(changes as object) });
      const edit = (directive: Directive) =>
        ({ ...directive, line: { ...directive.line, ...(line as object) }, ...(claims as object | null) }) as Directive;
      const response = await call(backend.url, body, {
        edit,
        ...(token !== null && { token }),
        ...(ids !== null && { ids }),
      });
      const text = await response.text();
      if (!response.ok) {
        const { error } = JSON.parse(text);
        if (!Object.hasOwn(ERROR_CODES, error.code) || isOurs(error.code)) throw new Error(`our fault: ${text}`);
        return error.code;
      }
      const frames = text
        .split('\n')
        .slice(0, -1)
        .map((each) => Frame.parse(JSON.parse(each)));
      const last = frames.at(-1);
      if (last?.type === 'error' ? isOurs(last.code) : last?.type !== 'end') {
        throw new Error(`the answer ended with ${JSON.stringify(last)}; the log: ${log.slice(-3).join('\n')}`);
      }
      return last?.type ?? '';
    },
    () => backend.close(),
  );
};
