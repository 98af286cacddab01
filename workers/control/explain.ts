/**
 * Why a prompt gets the line it gets under a version of a tenant's policy: what fired at the edge,
 * and at a backend's second look where one is asked, and which level set each bound.
 */
import * as z from 'zod';
import { effectivePolicy, type Level } from '#policies/effective.ts';
import { explain } from '#policies/explain.ts';
import { LOOSEST } from '#policies/schema.ts';
import { ChatRequest } from '#shared/api/chat-request.ts';
import { clientMessage } from '#shared/api/client-messages.ts';
import { ERROR_CODES, type ErrorCode, PlimsollError } from '#shared/api/errors.ts';
import { LookReport, RequestExtension } from '#shared/api/plimsoll-extension.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { JUDGEMENTS, SIGNALS } from '#shared/line/categories.ts';
import { promptTexts } from '#shared/protocol/prompt-texts.ts';
import { lookCategories } from '#shared/protocol/second-look.ts';
import { classifyText, rounded, WORK_BETWEEN_PAUSES } from '../gateway/classify-text.ts';
import { createPacer } from '../gateway/pace.ts';
import type { AppContext } from '../request/context.ts';
import { demandInference, type TrialEnv } from './trials.ts';

const Probability = z.number().min(0).max(1);

export const ExplainBody = z
  .strictObject({
    messages: ChatRequest.shape.messages,
    plimsoll: RequestExtension.omit({ trace: true, top: true }).nullish().describe('what the request asks for'),
    model: ChatRequest.shape.model
      .exactOptional()
      .describe(
        'ask a backend of this model for its second look; that costs the tenant the prompt and one token, and a key needs the scope `inference` too',
      ),
    look: z
      .partialRecord(z.enum(JUDGEMENTS), Probability)
      .exactOptional()
      .describe('what a second look finds, in place of asking a backend; what is left out is 0'),
  })
  .refine(({ model, look }) => model === undefined || look === undefined, {
    error: "'model', to ask a backend, or 'look', to say what it finds, not both",
  });

/** `explain` of policies/explain.ts describes what is of the type `unknown` here. */
export const ExplainAnswer = z.strictObject({
  object: z.literal('policy.explanation'),
  version: z.string().describe("of the effective policy: all levels' joined"),
  levels: z.array(z.strictObject({ level: z.string(), version: z.string().nullable() })),
  signals: z.record(z.enum(SIGNALS), Probability).describe("what the edge's classifier finds"),
  second_look: LookReport.nullable().describe('what a backend has found; null: none was asked, or it takes none'),
  problems: z.array(z.strictObject({ level: z.string(), problem: z.string() })),
  verdict: z.unknown().describe('what comes of the prompt after both looks'),
  directive: z.unknown().describe("what a backend is told after the edge's look; null: it is told nothing"),
  refusal: z.string().nullable(),
  fired: z.array(z.unknown()).describe('each signal whose rule does something, which look found it, whose rule it is'),
  shadow: z.array(z.unknown()).describe('what shadow rules would have done'),
  bounds: z.array(z.unknown()).describe('each bound, the rule behind it, and the levels and fields that set it'),
});

type Complete = (c: AppContext<TrialEnv>) => Promise<Response>;

export async function explainPrompt(
  { messages, plimsoll, model, look }: z.infer<typeof ExplainBody>,
  { c, classifier, complete }: { c: AppContext<TrialEnv>; classifier: Classifier; complete: Complete },
) {
  const { floor, budget, mode } = plimsoll ?? {};
  const isAsked = floor != null || budget != null;
  const asked = { ...LOOSEST, floor: floor ?? LOOSEST.floor, budget: budget ?? LOOSEST.budget };
  const levels: readonly Level[] = [
    ...c.var.levels,
    ...(isAsked ? [{ level: 'request', version: null, policy: asked, problem: null } as const] : []),
  ];
  const text = promptTexts({ messages }).join('\n');
  const { signals } = await classifyText(classifier, text, createPacer({ most: WORK_BETWEEN_PAUSES }));
  if (model !== undefined) demandInference(c);
  const report = model === undefined ? null : await askForLook({ model, messages, plimsoll }, { c, complete });
  const given = look === undefined ? null : lookCategories(JUDGEMENTS.map((judgement) => look[judgement] ?? 0));
  const found = await explain(levels, signals, {
    ...(mode != null && { mode }),
    backend: report?.categories ?? given,
  });
  return {
    object: 'policy.explanation' as const,
    ...found,
    version: (await effectivePolicy(levels)).version,
    levels: levels.map(({ level, version }) => ({ level, version })),
    signals: Object.fromEntries(SIGNALS.map((signal) => [signal, rounded(signals[signal])])),
    second_look: report,
  };
}

const Looked = z.union([
  z.object({ error: z.object({ code: z.string(), message: z.string() }) }),
  z.object({ plimsoll: z.object({ second_look: LookReport.nullable() }) }),
]);

/** A backend says what it has found with the first token, so one is drawn. */
async function askForLook(
  { plimsoll, messages, model }: Pick<z.infer<typeof ExplainBody>, 'messages' | 'plimsoll'> & { model: string },
  { c, complete }: { c: AppContext<TrialEnv>; complete: Complete },
): Promise<z.infer<typeof LookReport> | null> {
  const { policy } = c.var.caller;
  // The policy may keep it from clients. Whoever may change the policy may see it.
  c.set('caller', { ...c.var.caller, policy: { ...policy, trace: 'tokens' } });
  const asked = { model, messages: messages.map(clientMessage), ...(plimsoll != null && { plimsoll }) };
  c.set('body', JSON.stringify({ ...asked, max_tokens: 1, temperature: 0 }));
  const answer = await complete(c).catch((thrown: unknown) => {
    // The edge refuses by its own look, so no backend takes a second one.
    if (thrown instanceof PlimsollError && ['policy_refused', 'permission_denied'].includes(thrown.code)) return null;
    throw thrown;
  });
  if (answer === null) return null;
  const looked = Looked.parse(await answer.json());
  if (!('error' in looked)) return looked.plimsoll.second_look;
  const { code, message } = looked.error;
  // The cast: the answer is our own, so its code is in the table.
  throw new PlimsollError(code in ERROR_CODES ? (code as ErrorCode) : 'internal_error', message);
}
