/** `POST /v1/moderations`: the classifier alone, in OpenAI's shape. */
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import { type Moderation, ModerationRequest, scoresByName } from '#shared/api/moderation.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { classifyPrompt, rounded, WORK_BETWEEN_PAUSES } from './classify-prompt.ts';
import type { AppContext } from './context.ts';
import { createPacer, type Pacer } from './pace.ts';
import { parseJsonBody } from './read-body.ts';

/** The classifier is calibrated: from here on a text is likelier of a category than not. */
const FLAG_FROM = 0.5;
/** Names by which clients ask for the one model there is; the first is ours, the others are what OpenAI's clients send. */
const MODELS = ['plimsoll-moderation', 'omni-moderation-latest', 'text-moderation-latest', 'text-moderation-stable'];

export function moderations(classifier: Classifier) {
  const model = `${MODELS[0]}-${classifier.version}`;
  return async (c: AppContext): Promise<Response> => {
    const { input, model: asked } = parseRequest(ModerationRequest, parseJsonBody(c));
    if (asked != null && asked !== model && !MODELS.includes(asked)) {
      throw new PlimsollError('model_not_found', `The model '${asked}' does not exist; '${MODELS[0]}' does.`, {
        param: 'model',
      });
    }
    const pacer = createPacer({ most: WORK_BETWEEN_PAUSES });
    const results: Moderation['results'] = [];
    for (const text of input) results.push(await moderate(classifier, text, pacer));
    return c.json({ id: c.var.requestId.replace(/^req_/, 'modr-'), model, results } satisfies Moderation);
  };
}

async function moderate(classifier: Classifier, text: string, pacer: Pacer): Promise<Moderation['results'][number]> {
  const { signals, failed } = await classifyPrompt(classifier, text, pacer);
  // Here there is no line to close: a verdict that nobody reached is an error.
  if (failed) throw new PlimsollError('internal_error', 'The classifier failed.');
  const scores = scoresByName((judgement) => rounded(signals[judgement]));
  const byName = <T>(value: (score: number) => T) =>
    // The cast: the same keys as `scores`.
    Object.fromEntries(Object.entries(scores).map(([name, score]) => [name, value(score)])) as Record<
      keyof typeof scores,
      T
    >;
  return {
    flagged: Object.values(scores).some((score) => score >= FLAG_FROM),
    categories: byName((score) => score >= FLAG_FROM),
    category_scores: scores,
    category_applied_input_types: byName(() => ['text' as const]),
    plimsoll: { uncertain: rounded(signals.uncertain) },
  };
}
