/** What the experts of a bundle are, in the words of receipts. */
import { createHash } from 'node:crypto';
import type { ExpertKind, ExpertKinds } from '#shared/protocol/expert-kind.ts';
import type { ExpertPrompts } from './expert-prompt.ts';
import type { ExpertRole, Manifest } from './manifest.ts';

export function expertKinds({ manifest, prompts }: { manifest: Manifest; prompts: ExpertPrompts }): ExpertKinds {
  const kindOf = (role: ExpertRole): ExpertKind => {
    const adapted = hasAdapter(manifest, role);
    const text = prompts[role];
    if (text === undefined) return { kind: adapted ? 'adapter' : 'base' };
    return { kind: adapted ? 'adapter+prompt' : 'prompt', prompt: createHash('sha256').update(text).digest('hex') };
  };
  return { safety: kindOf('safety'), helpfulness: kindOf('helpfulness') };
}

/** Whether the bundle says that an expert is a LoRA adapter on the base. */
export function hasAdapter({ experts }: Pick<Manifest, 'experts'>, wanted: ExpertRole): boolean {
  return experts.some(({ role, adapter }) => role === wanted && adapter !== false);
}
