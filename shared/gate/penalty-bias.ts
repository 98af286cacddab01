/**
 * Turns the frequency and presence penalties and the logit bias of an OpenAI request into nats to
 * add per token of the mixture. The safety expert stays as it is; see shape-distribution.ts.
 *
 *     bias[i] = logitBias[i] - frequencyPenalty * count[i] - presencePenalty * (count[i] > 0)
 *
 *     // Map { 7 => -2 }
 *     penaltyBias(new Map([[7, 2]]), { frequencyPenalty: 0.5, presencePenalty: 1 });
 *
 * So far only tests use this, because the API still refuses penalties and a logit bias. It is here
 * for when the API accepts them.
 *
 * @param counts how often each token occurs in the answer so far
 * @public
 */
export function penaltyBias(
  counts: ReadonlyMap<number, number>,
  {
    frequencyPenalty = 0,
    presencePenalty = 0,
    logitBias = new Map<number, number>(),
  }: { frequencyPenalty?: number; presencePenalty?: number; logitBias?: ReadonlyMap<number, number> } = {},
): Map<number, number> {
  const bias = new Map(logitBias);
  if (frequencyPenalty === 0 && presencePenalty === 0) return bias;
  for (const [token, count] of counts) {
    if (count > 0) bias.set(token, (bias.get(token) ?? 0) - frequencyPenalty * count - presencePenalty);
  }
  return bias;
}
