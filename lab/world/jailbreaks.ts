/**
 * Jailbreaks: frames around a question that try to talk a model out of refusing it. The kinds come
 * from the literature: role play, pretexts and dropped rules (Shen et al., arXiv 2308.03825),
 * prefix injection and forbidden refusals (Wei et al., 2307.02483), authority, emotion and other
 * persuasion (Zeng et al., 2401.06373). A frame never mentions a subject. The question inside it
 * comes from the topic.
 */
import * as z from 'zod';
import { hashToUnit, type Random } from '#training/data/random.ts';
import raw from './jailbreaks.json' with { type: 'json' };
import { Frame } from './phrases.ts';
import type { QuestionKind, Split } from './rows.ts';

const HELDOUT_SHARE = 0.2;

/**
 * How often a question is framed, relative to a harmful one. Borderline and even ordinary questions
 * come in frames too, like the adversarial benign prompts of WildJailbreak (arXiv 2406.18510). If
 * only harmful ones did, a model would learn to refuse the frame.
 */
const JAILBREAK_CHANCE: Record<QuestionKind, number> = { ordinary: 0.1, borderline: 0.5, harmful: 1 };

const BY_KIND = z.record(z.string(), z.array(Frame).min(2)).parse(raw);

export interface Jailbreak {
  /**
   * Kind and place in its list: `fiction-1`. Add new frames at the end of a list, so that a name
   * stays with its text.
   */
  name: string;
  frame: string;
}

/**
 * The frames on one side of the split. About a fifth are held out, and at least one of each kind.
 * As with wordings, a hash of the words decides, so a frame keeps its side when others are added.
 */
export function jailbreaksOf(split: Split): Jailbreak[] {
  return Object.entries(BY_KIND).flatMap(([kind, frames]) => {
    const place = (frame: string) => hashToUnit(`jailbreak/${frame}`);
    const lowest = Math.min(...frames.map(place));
    const isHeldout = (frame: string) => place(frame) < HELDOUT_SHARE || place(frame) === lowest;
    return frames.flatMap((frame, i) =>
      isHeldout(frame) === (split === 'heldout') ? [{ name: `${kind}-${i + 1}`, frame }] : [],
    );
  });
}

/** The frame to put the question in, or null. `share` is how often a harmful question gets one. */
export function drawJailbreak(
  questionKind: QuestionKind,
  { share, split, random }: { share: number; split: Split; random: Random },
): Jailbreak | null {
  return random.chance(share * JAILBREAK_CHANCE[questionKind]) ? random.pick(jailbreaksOf(split)) : null;
}
