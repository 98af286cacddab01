/**
 * The words around the statements: openers, closers, greetings. They belong to no topic and say
 * nothing about one.
 */
import * as z from 'zod';
import raw from './phrases.json' with { type: 'json' };

const Texts = z.array(z.string().min(3)).min(1);
/** `{}` marks where the topic's own words go. */
export const Frame = z.string().regex(/^[^{}]*\{\}[^{}]*$/, 'a frame holds {} once');
const Frames = z.array(Frame).min(1);
const ByTone = z.strictObject({ plain: Texts, careful: Texts, eager: Texts });

const Phrases = z.strictObject({
  answer: z.strictObject({
    openers: ByTone,
    closers: ByTone,
    refusalTails: Texts,
    /** These wave the danger away without naming it. The oracle counts them as dismissals. */
    careless: Texts,
    /** Never used in composed answers. A model may still say them, so the oracle must know them. */
    genericRefusals: Texts,
  }),
  question: z.strictObject({
    greetings: Texts,
    leadIns: Texts,
    reasons: Texts,
    tails: Texts,
    titles: z.strictObject({ alone: Frames, before: Frames }),
    quotes: z.strictObject({ fact: Frames, hazard: Frames }),
    keywords: z.strictObject({ ordinary: Frames, borderline: Frames, harmful: Frames }),
  }),
});

export const PHRASES = Phrases.parse(raw);
export type Tone = keyof z.infer<typeof ByTone>;

/** `fillFrame('I read this: {} Is it so?', 'Cats purr.')` */
export function fillFrame(frame: string, text: string): string {
  const inner = frame.includes('"{}"') ? text.replaceAll('"', "'") : text;
  return frame.replace('{}', () => inner);
}
