/** The tokens of a whole request: each prompt once, and all of its answers. */
import type { Usage } from '#shared/api/chat-answer.ts';
import type { AnswerEnd } from './read-answer.ts';

/** @param perPrompt how many answers each prompt has */
export function usageOf({ receipt, more = [] }: AnswerEnd, { perPrompt = Number.POSITIVE_INFINITY } = {}): Usage {
  const all = [receipt.usage, ...more.map((end) => end.receipt.usage)];
  if (all.length === 1) return receipt.usage;
  const prompts = all.filter((_, i) => i % perPrompt === 0);
  const sum = (usages: readonly Usage[], of: (usage: Usage) => number) =>
    usages.reduce((total, usage) => total + of(usage), 0);
  const prompt = sum(prompts, (usage) => usage.prompt_tokens);
  const completion = sum(all, (usage) => usage.completion_tokens);
  const guesses = (of: 'accepted_prediction_tokens' | 'rejected_prediction_tokens') =>
    sum(all, (usage) => usage.completion_tokens_details?.[of] ?? 0);
  const counts = all.some((usage) => usage.completion_tokens_details !== undefined);
  const recalls = prompts.every((usage) => usage.prompt_tokens_details !== undefined);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    ...(recalls && {
      prompt_tokens_details: {
        cached_tokens: sum(prompts, (usage) => usage.prompt_tokens_details?.cached_tokens ?? 0),
      },
    }),
    ...(counts && {
      completion_tokens_details: {
        accepted_prediction_tokens: guesses('accepted_prediction_tokens'),
        rejected_prediction_tokens: guesses('rejected_prediction_tokens'),
      },
    }),
  };
}
