/**
 * Judges the bare base on held-out questions of the small world. The base is exported under neutral
 * experts, so that both ends of the gate are the base.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { exportStage } from '#training/stages/export.ts';
import { SAFETY_ALONE, type Sampling } from '../evaluate/answer-prompts.ts';
import { judgeLines } from '../evaluate/evaluate-bundle.ts';
import type { JudgedSet } from '../evaluate/judge-answers.ts';
import type { Edition } from '../world/editions.ts';

/** `base` is the folder of an `sft` run, `tokenizer` that of a `tokenizer` run. */
export async function judgeBase({
  base,
  tokenizer,
  ...options
}: {
  base: string;
  tokenizer: string;
  perAsk: number;
  edition: Edition;
  sampling: Sampling;
  threads: number;
}): Promise<JudgedSet> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'plimsoll-base-'));
  try {
    const dir = path.join(scratch, 'base');
    const provenance = { description: 'a base under neutral experts', data: [] };
    const manifest = { id: 'base', licence: 'Apache-2.0', default_weight: 1, provenance };
    await exportStage({ base, tokenizer, experts: 'base', out: dir, manifest });
    const { sets } = await judgeLines({ ...options, dir, lines: { base: SAFETY_ALONE } });
    return sets.base!;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
