/**
 * Jailbreaks: frames around a question, meant to talk a model out of refusing it. The kinds are those of the literature: role play, pretexts
 * and dropped rules (Shen et al., arXiv 2308.03825), prefix injection and forbidden refusals (Wei et al., 2307.02483), authority, emotion
 * and other persuasion (Zeng et al., 2401.06373). A frame holds no knowledge of any subject; what is asked inside it is the topic's own.
 */
import * as z from 'zod';
import { hashToUnit, type Random } from '#training/data/random.ts';
import raw from './jailbreaks.json' with { type: 'json' };
import { Frame } from './phrases.ts';
import type { QuestionKind, Split } from './rows.ts';

const HELDOUT_SHARE = 0.2;

/**
 * How often a question is framed, beside a harmful one. Borderline and even ordinary questions come in frames too (as the adversarial
 * benign prompts of WildJailbreak do, arXiv 2406.18510): were it only harmful ones, a model would learn to refuse the frame.
 */
export const JAILBREAK_CHANCE: Record<QuestionKind, number> = { ordinary: 0.1, borderline: 0.5, harmful: 1 };

const BY_KIND = z.record(z.string(), z.array(Frame).min(2)).parse(raw);

export interface Jailbreak {
  /** Kind and place in its list: `fiction-1`. Append to the lists, so that a name stays with its text. */
  name: string;
  frame: string;
}

/**
 * The frames of one side. About a fifth is held out, at least one of each kind; as with wordings the choice is a hash of the words, so it stays when
 * a frame is added.
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

/** The frame to put the question in, or null; `share` is how often a harmful one gets any. */
export function drawJailbreak(
  questionKind: QuestionKind,
  { share, split, random }: { share: number; split: Split; random: Random },
): Jailbreak | null {
  return random.chance(share * JAILBREAK_CHANCE[questionKind]) ? random.pick(jailbreaksOf(split)) : null;
}
