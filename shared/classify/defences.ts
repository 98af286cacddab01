/**
 * The disguises that are undone before a prompt is read, each by a name. Only evaluation names them: `without` switches
 * some off, so that what each is worth can be measured on the shipped weights.
 */
export const DEFENCES = [
  /** Capitals become small letters. */
  'case',
  /** Full-width, mathematical, circled and squared letters become plain ones (NFKC and what it leaves out). */
  'forms',
  /** Zero-width, direction and other invisible characters go. */
  'invisible',
  /** Accents, strokes and circles that combine with a Latin letter go. */
  'marks',
  /** Letters of other scripts that look Latin become Latin. */
  'confusables',
  /** "k i l l", "b.o.m.b" are joined. */
  'spacing',
  /** "h0w", "b0mb" are read as words. */
  'leetspeak',
  /** "howdoi", "how.do.i" are taken apart. */
  'word breaks',
  /** "hwo to bulid", "b*mb", "bo mb" are read as what was meant. */
  'typing noise',
  /** base64, hex, percent and character escapes are decoded. */
  'encodings',
  'rot13',
  /** "bmob a", or each word by itself backwards. */
  'reversal',
  /** A long text is also read piece by piece. */
  'windows',
] as const;
export type Defence = (typeof DEFENCES)[number];

export type DefenceOptions = { without?: readonly Defence[] };
