/** The floor that a policy gives a prompt in which one signal is found. */
import { compile } from '#policies/compile.ts';
import type { Policy } from '#policies/schema.ts';
import { SIGNALS } from '#shared/line/categories.ts';

const QUIET = Object.fromEntries(SIGNALS.map((signal) => [signal, 0]));

/** @returns null: the policy refuses the prompt */
export function floorAt(policy: Policy, signal: string, probability: number): number | null {
  const verdict = compile(policy, { ...QUIET, [signal]: probability });
  return verdict.action === 'answer' ? verdict.line.floor : null;
}
