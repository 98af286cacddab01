/** `POST /v1/moderations`: the classifier alone, in OpenAI's shape. */
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import {
  type Moderation,
  type ModerationCategory,
  ModerationRequest,
  type NamedVerdict,
  verdictsByName,
} from '#shared/api/moderation.ts';
import { shortText } from '#shared/api/short-text.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import type { AppContext, BodyEnv, CallerEnv } from '../request/context.ts';
import { parseJson } from '../request/read-body.ts';
import { classifyText, rounded, WORK_BETWEEN_PAUSES } from './classify-text.ts';
import { createPacer, type Pacer } from './pace.ts';

/**
 * The names under which clients may request the only model. The first is ours; the others are what
 * OpenAI's clients send.
 */
const MODELS = [
  'plimsoll-moderation',
  'omni-moderation-latest',
  'omni-moderation-2024-09-26',
  'text-moderation-latest',
  'text-moderation-stable',
];

export function moderations(classifier: Classifier) {
  const model = `${MODELS[0]}-${classifier.version}`;
  return async (c: AppContext<CallerEnv & BodyEnv>): Promise<Response> => {
    const { input, model: asked } = parseRequest(ModerationRequest, parseJson(c.var.body));
    if (asked != null && asked !== model && !MODELS.includes(asked)) {
      throw new PlimsollError(
        'model_not_found',
        `The model '${shortText(asked)}' does not exist; '${MODELS[0]}' does.`,
        {
          param: 'model',
        },
      );
    }
    const pacer = createPacer({ most: WORK_BETWEEN_PAUSES });
    const results: Moderation['results'] = [];
    for (const text of input) results.push(await moderate(classifier, text, pacer));
    return c.json({ id: c.var.requestId.replace(/^req_/, 'modr-'), model, results } satisfies Moderation);
  };
}

async function moderate(classifier: Classifier, text: string, pacer: Pacer): Promise<Moderation['results'][number]> {
  const { signals, failed } = await classifyText(classifier, text, pacer);
  // There is no line to close here, so we return an error instead of a verdict that nobody reached.
  if (failed) throw new PlimsollError('internal_error', 'The classifier failed.');
  const verdicts = verdictsByName((judgement) => rounded(signals[judgement]));
  const byName = <T>(value: (verdict: NamedVerdict) => T) =>
    // The cast: the result has the same keys as `verdicts`.
    Object.fromEntries(Object.entries(verdicts).map(([name, verdict]) => [name, value(verdict)])) as Record<
      ModerationCategory,
      T
    >;
  return {
    flagged: Object.values(verdicts).some(({ flagged }) => flagged),
    categories: byName(({ flagged }) => flagged),
    category_scores: byName(({ score }) => score),
    category_applied_input_types: byName(() => ['text' as const]),
    plimsoll: { uncertain: rounded(signals.uncertain) },
  };
}
