/** Writes the demo bundle's model card from what was measured. */

import type { LastFigures } from '#training/run/last-figures.ts';
import { formatSeconds } from '#training/run/progress.ts';
import { REAL_SOURCES } from '#training/stages/base-corpus.ts';
import { type Evaluation, evaluationTable } from '../evaluate/evaluate-bundle.ts';
import { DEMO } from '../methods/recipe.ts';
import type { WorldShares } from '../world/generate.ts';
import { loadTopics } from '../world/load-topics.ts';

/** The last figures of every run that trained something, by name and in training order. */
export type CardFigures = Record<string, LastFigures>;

const STAGE_LABELS: Readonly<Record<string, string>> = {
  'sft-first': 'base, `sft`, first run',
  sft: 'base, `sft`, second run',
  reward: '`reward`',
  cost: '`cost`',
  'spe-safety': 'safety expert, DPO with margin + likelihood',
  'spe-helpfulness': 'helpfulness expert, DPO with margin + likelihood',
  layers: '`router` in the layers',
  logits: '`router` over the logits',
};

const SHARE_LABELS: Record<keyof WorldShares, string> = {
  keywordShare: 'are asked in keywords',
  jailbreakShare: 'of the harmful ones are in a jailbreak frame',
  multiTurnShare: 'end a conversation',
};

/** `describe({ multiTurnShare: 0.1 })` is `10 % end a conversation`. */
function describe(shares: WorldShares): string {
  return Object.entries(shares)
    .map(([name, share]) => `${Math.round(100 * share)} % ${SHARE_LABELS[name as keyof WorldShares]}`)
    .join(', ');
}

export function modelCard({
  evaluation,
  metrics,
  corpora,
  digest,
}: {
  evaluation: Evaluation;
  metrics: CardFigures;
  /** For each run of the base in turn: how many dialogues it read from each source. */
  corpora: readonly Record<string, number>[];
  digest: string;
}): string {
  const { config, expert, base, score, router } = DEMO;
  const fixed = (value: number | undefined, digits = 3) => value?.toFixed(digits) ?? 'unknown';
  const percent = (value: number | undefined) => `${(100 * (value ?? Number.NaN)).toFixed(1)} %`;
  const heldOut = (figures: LastFigures) =>
    [
      figures.heldOutLoss !== undefined && `loss ${fixed(figures.heldOutLoss)}`,
      figures.heldOutAccuracy !== undefined && `pairs ordered right ${percent(figures.heldOutAccuracy)}`,
      figures.heldOutCalibrationError !== undefined && `calibration error ${fixed(figures.heldOutCalibrationError)}`,
      figures.heldOutSignAccuracy !== undefined &&
        `answers on the right side of zero ${percent(figures.heldOutSignAccuracy)}`,
    ].filter((part) => part !== false);
  const stages = Object.entries(metrics).map(([run, figures]) => {
    const { step, tokens, seconds = 0, loss } = figures;
    return `| ${STAGE_LABELS[run] ?? run} | ${step} | ${tokens} | ${formatSeconds(seconds)} | ${fixed(loss)} | ${heldOut(figures).join('; ')} |`;
  });
  const sources = DEMO.base.runs.flatMap((run, i) =>
    Object.entries(corpora[i]!).map(([name, rows]) => {
      const licence =
        REAL_SOURCES.find((source) => source.name === name)?.licence ?? 'Apache-2.0 (written for this project)';
      return `| ${STAGE_LABELS[run.name]} | ${name} | ${rows} | ${licence} | ${describe(run.shares)} |`;
    }),
  );
  const samples = evaluation.samples.map(({ question, kind, answers }) =>
    [`**${question}** (${kind})`, '', ...Object.entries(answers).map(([name, text]) => `- *${name}*: ${text}`)].join(
      '\n',
    ),
  );
  return `# plimsoll-demo

A toy: a Llama-family model of ${config.num_hidden_layers} layers, width ${config.hidden_size} and ${config.vocab_size} tokens, trained from scratch on a small invented help desk.
It has a safety expert, a helpfulness expert and two routers between them, one in the layers and one over the logits. It
exists so that \`npm start\` shows a real line at work on a laptop. It knows ${loadTopics({ edition: DEMO.edition }).length} of the ${loadTopics({ edition: 'whole' }).length} topics of \`lab/world\` and
nothing else. Do not use its advice.

Made by \`npm run train:demo\` (seed ${DEMO.seed}); bundle \`${digest}\`.
Licence of the weights: Apache-2.0.

## Data

| run | source | dialogues | licence | forms of its questions |
| --- | --- | --- | --- | --- |
${sources.join('\n')}

Of the answers to ordinary questions, ${percent(base.corpus.answerShares.ordinary.useless_safe)} are refusals. The experts' preference pairs (${DEMO.pairs.count} drawn, ties left out; of
their questions ${describe(DEMO.pairs.shares)}) all come from the small
world, which labels them in both dimensions by construction. No pair about an ordinary question says that a refusal is
the safer answer. We used no data under a non-commercial, share-alike or unclear licence. Every fifth wording of a
question was held out, and all figures below are measured on those.

## Training

| stage | steps | tokens | time | loss | held out |
| --- | --- | --- | --- | --- | --- |
${stages.join('\n')}

AdamW, cosine, peak learning rates ${base.runs.map(({ learningRate }) => learningRate).join(' and ')} (base), ${score.learningRate} (reward, cost), ${expert.learningRate} (experts) and ${router.learningRate} (routers);
LoRA r = ${expert.rank}, alpha = ${expert.alpha} on \`down_proj\`.

- Experts: beta = ${expert.beta}, MidPO's margin times ${expert.marginScale} (by the cost model for safety, by the reward model for helpfulness),
  plus ${expert.nllWeight} times the mean negative log-probability of the chosen answers' tokens. Their losses are those sums.
- Routers: beta = ${router.beta}, lambda = ${router.lambda.layers} (layers) and ${router.lambda.logits} (logits), on the pairs of D_dual (definition *${DEMO.dual}*). The cost
  and reward models judge the held-out pairs too.
- The loss is the mean of the last 50 steps. Question tokens count ${base.sft.promptWeight}, and the answer's first ${base.sft.opening.tokens} tokens count ${base.sft.opening.weight}. The
  held-out loss counts only the answer's tokens, all equally. The time covers the steps alone, on two cores.

## Evaluation

${evaluation.questions} held-out questions, temperature ${evaluation.sampling.temperature}, top-p ${evaluation.sampling.topP}, read by the small world's oracle. *safety* and *helpfulness* are the
experts alone. The others are the gate at a tenant's line, where the router over the logits proposes the safety weight
of every token, or the router in the layers if the experts are mixed there. \`npx plimsoll eval --bundle models/demo\`
repeats everything but the base's row.

${evaluationTable(evaluation.sets)}

KL divergence of the experts per token, estimated by the mean log-ratio over answers that the first expert drew at
temperature 1 from the whole vocabulary: KL(safety || helpfulness) ${fixed(evaluation.divergence.safetyFromHelpfulness)} nats, KL(helpfulness || safety) ${fixed(evaluation.divergence.helpfulnessFromSafety)} nats.

## Samples

Spread evenly over the questions, not hand-picked.

${samples.join('\n\n')}

## Limits

- It recites sentences of its world. A question from outside that world gets an answer from inside it.
- "Unsafe" means that the oracle found a careless sentence of the world. The oracle reads known sentences, garbled or
  not. Those it does not know count as neither safe nor unsafe, and are in the column *unknown sentences*.
- The experts differ because the world says what is safe and what is helpful. This says nothing about models and data of
  a useful size. The gate's bounds hold for any model.
`;
}
