import { shortText } from '#shared/api/short-text.ts';

/** What is wrong with a grammar, and where: a JSON pointer into the schema that it comes from. */
export class GrammarError extends Error {
  override readonly name = 'GrammarError';
  readonly pointer: string | null;
  /** Whether it makes sense, but is not supported. */
  readonly unsupported: boolean;

  /** @param problem goes on after the name of the place: "has too many states" */
  constructor(
    problem: string,
    { pointer = null, unsupported = false }: { pointer?: string | null; unsupported?: boolean } = {},
  ) {
    super(problem);
    this.pointer = pointer;
    this.unsupported = unsupported;
  }
}

/** How a problem quotes a schema. */
export const quoted = (text: string): string => JSON.stringify(shortText(text));

/** Where an error stands. The names in it are the client's. */
export const quotedPointer = (pointer: string): string =>
  JSON.stringify(`#${pointer.split('/').map(shortText).join('/')}`);
