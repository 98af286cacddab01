/**
 * Begins an answer whose experts are in different pools: finds a backend of either, lets both read
 * the prompt, and hands their rows to mix-answer.ts. The edge signs the receipt.
 *
 * If no backend of the safety expert can be asked, there is no answer. If none of the other expert
 * can, the safety expert answers alone.
 */

import type { Vocabulary } from '#shared/answer/vocabulary.ts';
import { PlimsollError, toPlimsollError } from '#shared/api/errors.ts';
import { withPlain } from '#shared/api/sampling.ts';
import { type ExpertStart, unpackVocabulary } from '#shared/protocol/expert-messages.ts';
import { GenerateRequest } from '#shared/protocol/generate.ts';
import { crossedLine } from '#shared/protocol/line-held.ts';
import type { Receipt } from '#shared/protocol/receipt.ts';
import { digestOfSignedLine, type SignedLine } from '#shared/protocol/signed-line.ts';
import { logFailure } from '../request/log.ts';
import { within } from '../request/within.ts';
import { ExpertRows } from './expert-rows.ts';
import { mixAnswer, needsHelpful, tooLate } from './mix-answer.ts';
import { bundleOf, nobody, type OpenerOptions, opener } from './open-expert.ts';
import type { AnswerEvents } from './read-answer.ts';

export type BeginOptions = OpenerOptions & {
  requestId: string;
  /** Called with the complete receipt before it is signed. */
  onEnd: (receipt: Receipt) => void;
  sign: (receipt: Receipt) => Promise<string>;
};

/** How the safety expert's backend begins. It has the key to draw with. */
type MixedStart = ExpertStart & { draws: string };

/** Vocabularies of the bundles that this isolate has mixed. */
const vocabularies = new Map<string, Vocabulary>();
/** Each takes about a megabyte. */
const MOST_VOCABULARIES = 4;

export async function beginMixed(options: BeginOptions): Promise<{ start: MixedStart; events: AnswerEvents }> {
  const { directive, requestId, trace, timeouts } = options;
  const ids: number[] = [];
  const about = { request: requestId, trace: trace.span.traceId };
  const members = await options.members();
  const bundle = bundleOf(members, options);
  const knows = (of: string | null) => vocabularies.has(of ?? '');
  const alone = (why: unknown) => {
    options.signal.throwIfAborted();
    logFailure('helpfulness-expert-gone', toPlimsollError(why), { ...about, position: ids.length });
  };
  const over = { safety: new AbortController(), helpfulness: new AbortController() };
  try {
    const beginsSafety = ExpertRows.open(opener({ role: 'safety', bundle, knows }, options), ids, over.safety);
    const fits = beginsSafety.then(({ start }) => start);
    // Whoever is told of it sees it below.
    fits.catch(() => undefined);
    const openHelpful = () => opener({ role: 'helpfulness', bundle, knows, fits }, options);
    const beginsHelpful: Promise<ExpertRows | null> = needsHelpful(directive.line)
      ? ExpertRows.open(openHelpful(), ids, over.helpfulness)
      : Promise.resolve(null);
    beginsHelpful.catch(() => undefined);
    const safety = await beginsSafety;
    const { start } = safety;
    // In a crowded pool, it may wait in a queue. The answer does not.
    const helpful = await within(timeouts.besideMs, beginsHelpful, () => {
      throw tooLate(timeouts.besideMs);
    }).catch((thrown: unknown) => {
      alone(thrown);
      over.helpfulness.abort(thrown);
      return null;
    });
    const vocabulary = learnVocabulary(start);
    const request = GenerateRequest.parse(JSON.parse(options.body));
    // Who goes on later may be asked for no second look; this is what the draws' key is bound to.
    const { asked: signedLine } = safety;
    const { line, second_look: secondLook } = signedLine;
    const { draws, key } = start;
    if (draws === undefined || key === undefined) throw nobody('safety');
    const { besideMs } = timeouts;
    const { topK } = options.mixing;
    const asked = { line, secondLook, request, vocabulary, topK, besideMs };
    const drawn = mixAnswer({ ...asked, key, ids, safety, helpful, onAlone: alone });
    const begun = { ...start, draws };
    return { start: begun, events: signed(drawn, { start: begun, asked: signedLine, safety, request, options }) };
  } catch (thrown) {
    // Whatever is open by now, or opens later, is closed.
    over.safety.abort(thrown);
    over.helpfulness.abort(thrown);
    throw thrown;
  }
}

async function* signed(
  drawn: ReturnType<typeof mixAnswer>,
  {
    start,
    asked,
    safety,
    request,
    options: { directive, mixing, onEnd, sign },
  }: {
    start: MixedStart;
    asked: SignedLine;
    safety: ExpertRows;
    request: GenerateRequest;
    options: BeginOptions;
  },
): AnswerEvents {
  const end = yield* drawn;
  const receipt: Receipt = {
    request: directive.request,
    directive: safety.directive,
    tenant: directive.tenant,
    key: directive.key,
    policy: directive.policy,
    classifier: directive.classifier,
    model: start.model,
    bundle: start.bundle,
    experts: start.experts,
    backend: 'edge',
    parts: [],
    draws: start.draws,
    signed_line: await digestOfSignedLine(asked),
    top_k: mixing.topK,
    choice: 0,
    choices: 1,
    seed: request.seed,
    max_tokens: request.max_tokens,
    sampling: withPlain(request),
    prompt_digest: directive.digest,
    ...end,
  };
  const crossed = crossedLine(receipt);
  if (crossed !== null) {
    throw new PlimsollError('internal_error', 'The server had an error while processing your request.', {
      detail: { crossed },
    });
  }
  onEnd(receipt);
  return { receiptToken: await sign(receipt), receipt };
}

function learnVocabulary(start: ExpertStart): Vocabulary {
  const known = vocabularies.get(start.bundle);
  if (known !== undefined) return known;
  if (start.vocabulary === undefined) {
    throw new PlimsollError('backend_unavailable', 'The backend did not send its vocabulary. Please try again.');
  }
  const vocabulary = unpackVocabulary(start.vocabulary);
  const [oldest] = vocabularies.keys();
  if (vocabularies.size >= MOST_VOCABULARIES && oldest !== undefined) vocabularies.delete(oldest);
  vocabularies.set(start.bundle, vocabulary);
  return vocabulary;
}
