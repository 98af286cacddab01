/**
 * Runs a bundle for one token: its template renders a question, and each expert, and the layers
 * router if there is one, says what comes next. It finds what reading files cannot: a graph that
 * does not build, or weights that overflow.
 */
import type { Source } from '#gpu-backend/engine/experts.ts';
import { OnnxExperts } from '#gpu-backend/engine/onnx-experts.ts';
import { BundleError } from '#gpu-backend/model/bundle-error.ts';
import { BUNDLE_FILES } from '#gpu-backend/model/bundle-files.ts';
import { withPrompt } from '#gpu-backend/model/expert-prompt.ts';
import type { ServedBundle } from '#gpu-backend/model/load-bundle.ts';

export type SelfTest = { source: Source; promptTokens: number; likeliest: string };

/** Throws a BundleError if an expert's logits are no finite numbers. */
export async function selfTest(bundle: ServedBundle): Promise<SelfTest[]> {
  const experts = await OnnxExperts.create(bundle);
  try {
    const sources: Source[] = ['safety', 'helpfulness', ...(experts.abilities.layers ? (['layers'] as const) : [])];
    const results: SelfTest[] = [];
    for (const source of sources) {
      const prompt = source === 'layers' ? undefined : bundle.prompts[source];
      const question = [{ role: 'user' as const, content: 'What is the capital of France?' }];
      const ids = bundle.renderChat(prompt === undefined ? question : withPrompt(question, prompt));
      const sequence = experts.open(source);
      const bounds = { floor: 0, ceiling: 1 };
      const step = { sequence, ids, ...(source === 'layers' && { bounds }) };
      const [output] = await Promise.all(experts.append([step]));
      experts.close(sequence);
      // This driver returns whole rows.
      const { logits } = output!.row as { logits: Float32Array };
      const wrong = logits.findIndex((logit) => !Number.isFinite(logit));
      if (wrong !== -1) {
        const problem = `${source}: found the logit ${logits[wrong]} for token ${wrong}, wanted finite numbers`;
        throw new BundleError(BUNDLE_FILES.weights, problem);
      }
      const likeliest = logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit)));
      results.push({ source, promptTokens: ids.length, likeliest: bundle.tokenizer.decode([likeliest]) });
    }
    return results;
  } finally {
    await experts.dispose();
  }
}
