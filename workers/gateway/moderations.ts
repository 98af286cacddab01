/** `POST /v1/moderations`: the classifier alone, in OpenAI's shape. */
import { LABELS, type Label } from '#shared/api/categories.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { parseRequest } from '#shared/api/invalid-request.ts';
import { type Moderation, ModerationRequest } from '#shared/api/moderation.ts';
import type { Classifier } from '#shared/classify/classify.ts';
import { classifyPrompt, listCategories } from './classify-prompt.ts';
import type { AppContext } from './context.ts';
import { parseJsonBody } from './read-body.ts';

/** The classifier is calibrated: from here on a text is likelier of a category than not. */
const FLAG_FROM = 0.5;

export function moderations(classifier: Classifier) {
  return async (c: AppContext): Promise<Response> => {
    const { input } = parseRequest(ModerationRequest, parseJsonBody(c));
    return c.json({
      id: c.var.requestId.replace(/^req_/, 'modr-'),
      model: `plimsoll-moderation-${classifier.version}`,
      results: input.map((text) => moderate(classifier, text)),
    } satisfies Moderation);
  };
}

function moderate(classifier: Classifier, text: string): Moderation['results'][number] {
  const { probabilities, failed } = classifyPrompt(classifier, text);
  // Here there is no line to close: a verdict that nobody reached is an error.
  if (failed) throw new PlimsollError('internal_error', 'The classifier failed.');
  const scores = listCategories(probabilities);
  const byLabel = <T>(value: (probability: number) => T) =>
    Object.fromEntries(scores.map(({ name, probability }) => [name, value(probability)])) as Record<Label, T>;
  return {
    flagged: LABELS.some((label) => (probabilities[label] ?? 1) >= FLAG_FROM),
    categories: byLabel((probability) => probability >= FLAG_FROM),
    category_scores: byLabel((probability) => probability),
    category_applied_input_types: byLabel(() => ['text' as const]),
  };
}
