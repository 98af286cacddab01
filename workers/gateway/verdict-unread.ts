import { compile, type Verdict } from '#policies/compile.ts';
import type { Policy } from '#policies/schema.ts';
import type { Mode } from '#shared/line/line.ts';

/**
 * The verdict on a grammar that may force words which nobody has read. A long text that is unread
 * has a price: the model may still refuse. Forced words are said at any floor and cost no budget,
 * so nothing but a refusal stops them, and they might be whatever the policy is strict about. So
 * every rule applies in full, as where the classifier fails: an unread word is never freer than a
 * read one. A refusal names `unread`, because nothing else was found.
 */
export function verdictUnread(policy: Policy, { mode }: { mode: Mode }): Verdict {
  const verdict = compile(policy, {}, { mode });
  return verdict.action === 'refuse' && verdict.because !== null ? { ...verdict, because: 'unread' } : verdict;
}
