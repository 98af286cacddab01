/**
 * Turns the penalties and the logit bias of a request into what the gate does to single tokens of
 * the mixture. The safety expert stays as it is; see shape-distribution.ts.
 *
 * Frequency and presence penalty and the logit bias, as OpenAI defines them, are nats to add:
 *
 *     bias[i] = logitBias[i] - frequencyPenalty * count[i] - presencePenalty * (count[i] > 0)
 *
 *     // Map { 7 => -2 }
 *     penaltyBias(new Map([[7, 2]]), { frequencyPenalty: 0.5, presencePenalty: 1 });
 *
 * @param counts how often each token occurs in the answer so far
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

/**
 * The repetition penalty (Keskar et al., CTRL, arXiv 1909.05858) as factors of log-probabilities:
 *
 *     log p'[i] = penalty * log p[i]    for every token of the text so far, however often it occurs
 *
 *     // Map { 3 => 1.3, 7 => 1.3 }
 *     repetitionScale([7, 3, 7], 1.3);
 *
 * On logits, as CTRL and most engines do it, a positive logit is divided by the penalty and a
 * negative one multiplied, so that both fall. Where a model's logits have their zero is an accident
 * of its training, so the same penalty means something else for every model, and adding a constant
 * to a row would change the answer. Log-probabilities have their zero at certainty. They are never
 * positive, so multiplying is all there is, and it is what Hugging Face's rule does to a row after
 * log_softmax. A penalty below 1 makes repeating likelier. A token that is certain stays certain.
 *
 * @param tokens the text that counts as said: the answer so far, and the prompt if it counts too
 * @param penalty above 0; 1 changes nothing
 */
export function repetitionScale(tokens: Iterable<number>, penalty: number): Map<number, number> {
  return penalty === 1 ? new Map() : new Map(Array.from(tokens, (token) => [token, penalty]));
}
