/** Node's codes in words that fit between "found" and "wanted". */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'no permission',
  EPERM: 'no permission',
  EISDIR: 'a folder',
  ENOTDIR: 'a file where a folder should be',
};

/** Says what was found in place of a file that cannot be read. */
export function foundInstead(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? code ?? cause.message;
}
