/** Says in words why a file or folder that a user named cannot be read. */
export function whyNot(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'no such file or folder';
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission to';
    case 'EISDIR':
      return 'it is a folder';
    case 'ENOTDIR':
      return 'it is a file, or below one';
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
