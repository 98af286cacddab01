/**
 * The disguises that are undone before a prompt is read, each with a name. Only evaluation uses the
 * names: `without` switches some off, to measure what each is worth with the shipped weights.
 */
export const DEFENCES = [
  /** Turns capitals into small letters. */
  'case',
  /**
   * Turns full-width, mathematical, circled and squared letters into plain ones (NFKC and what it
   * leaves out).
   */
  'forms',
  /** Removes zero-width, direction and other invisible characters. */
  'invisible',
  /** Removes accents, strokes and circles that combine with a Latin letter. */
  'marks',
  /** Turns letters of other scripts that look Latin into Latin. */
  'confusables',
  /** Joins "k i l l" and "b.o.m.b". */
  'spacing',
  /** Reads "h0w" and "b0mb" as words. */
  'leetspeak',
  /** Takes "howdoi" and "how.do.i" apart. */
  'word breaks',
  /** Reads "hwo to bulid", "b*mb" and "bo mb" as what was meant. */
  'typing noise',
  /** Decodes base64, hex, percent and character escapes. */
  'encodings',
  'rot13',
  /** Turns "bmob a" around, or each word by itself. */
  'reversal',
  /** Also reads a long text piece by piece. */
  'windows',
] as const;
export type Defence = (typeof DEFENCES)[number];

export type DefenceOptions = { without?: readonly Defence[] };
