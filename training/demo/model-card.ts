/** The demo bundle's model card, written from what was measured. */
import type { ExpertRole } from '#gpu-backend/model/manifest.ts';
import { type Evaluation, evaluationTable } from '../evaluate/evaluate-bundle.ts';
import type { LastFigures } from '../run/last-figures.ts';
import { formatSeconds } from '../run/progress.ts';
import { REAL_SOURCES } from '../stages/base-corpus.ts';
import { DEMO } from './recipe.ts';

export function modelCard({
  evaluation,
  metrics,
  corpus,
  digest,
}: {
  evaluation: Evaluation;
  metrics: Record<'sft' | ExpertRole, LastFigures>;
  corpus: Record<string, number>;
  digest: string;
}): string {
  const { config, expert, base } = DEMO;
  const { sft, safety, helpfulness } = metrics;
  const fixed = (value: number | undefined, digits = 3) => value?.toFixed(digits) ?? 'unknown';
  const percent = (value: number | undefined) => `${(100 * (value ?? Number.NaN)).toFixed(1)} %`;
  const seconds = (figures: LastFigures) => formatSeconds(figures.seconds ?? 0);
  const sources = Object.entries(corpus).map(([name, rows]) => {
    const licence =
      REAL_SOURCES.find((source) => source.name === name)?.licence ?? 'Apache-2.0 (written for this project)';
    return `| ${name} | ${rows} | ${licence} |`;
  });
  const samples = evaluation.samples.map(({ question, kind, answers }) =>
    [`**${question}** (${kind})`, '', ...Object.entries(answers).map(([name, text]) => `- *${name}*: ${text}`)].join(
      '\n',
    ),
  );
  return `# plimsoll-demo

A toy: a Llama-family model of ${config.num_hidden_layers} layers, width ${config.hidden_size} and ${config.vocab_size} tokens, trained from scratch on a small invented
help desk, with a safety expert and a helpfulness expert. It exists so that \`npm start\` shows a real line at work on a
laptop. It knows the topics of the first edition of \`training/world\` and nothing else; do not use its advice.

Made by \`npm run train:demo\` (seed ${DEMO.seed}); bundle \`${digest}\`. Licence of the weights: Apache-2.0.

## Data

| source | dialogues | licence |
| --- | --- | --- |
${sources.join('\n')}

The experts' preference pairs (${DEMO.worldPairs} drawn, ties left out) come from the small world alone, labelled in both dimensions by
construction. No data under a non-commercial, share-alike or unclear licence was used. Every fifth wording of a question was held
out; all figures below are on those.

## Training

| stage | steps | tokens | time | loss | held out |
| --- | --- | --- | --- | --- | --- |
| base, \`sft\` | ${sft.step} | ${sft.tokens} | ${seconds(sft)} | ${fixed(sft.loss)} | loss ${fixed(sft.heldOutLoss)} |
| safety expert, DPO + likelihood | ${safety.step} | ${safety.tokens} | ${seconds(safety)} | ${fixed(safety.loss)} | preference accuracy ${percent(safety.heldOutAccuracy)} |
| helpfulness expert, DPO + likelihood | ${helpfulness.step} | ${helpfulness.tokens} | ${seconds(helpfulness)} | ${fixed(helpfulness.loss)} | preference accuracy ${percent(helpfulness.heldOutAccuracy)} |

AdamW, peak learning rates ${base.sft.learningRate} (base) and ${expert.learningRate} (experts), cosine; LoRA r = ${expert.rank}, alpha = ${expert.alpha} on \`down_proj\`; beta = ${expert.beta}, plus
${expert.nllWeight} times the mean negative log-probability of the chosen answers' tokens; the losses are those sums. The
loss is the mean of the last 50 steps and counts the question's tokens by ${base.sft.promptWeight} and the answer's first ${base.sft.opening.tokens} by ${base.sft.opening.weight}; the held-out loss counts
the answer's tokens alone, all alike. Time is that of the steps alone, on two shared cores.

## Evaluation

${evaluation.questions} held-out questions, temperature ${evaluation.sampling.temperature}, top-p ${evaluation.sampling.topP}, read by the small world's oracle. *safety* and *helpfulness* are the experts
alone, the others the gate at a tenant's line. \`npx plimsoll eval --bundle models/demo --per-ask 1\` repeats all but the base's row.

${evaluationTable(evaluation.sets)}

KL divergence of the experts a token, estimated by the mean log-ratio over answers that the first drew at temperature 1 from the whole
vocabulary: KL(safety || helpfulness) ${fixed(evaluation.divergence.safetyFromHelpfulness)} nats, KL(helpfulness || safety)
${fixed(evaluation.divergence.helpfulnessFromSafety)} nats.

## Samples

Drawn evenly over the questions, not picked.

${samples.join('\n\n')}

## Limits

- It recites sentences of its world; a question outside it gets an answer from inside it.
- "Unsafe" means: the oracle found a careless sentence of the world. It reads known sentences, garbled or not; what it does not know counts
  as neither safe nor unsafe and is in the column *unknown sentences*.
- The experts differ because the world says what is safe and what is helpful. What this says about models and data of a useful size is
  nothing; the gate's bounds hold for any.
`;
}
