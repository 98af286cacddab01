/**
 * Undoes the compression of a request's body. What comes out is bounded as what goes in is: a
 * kilobyte can be a megabyte of nothing, so the reading stops where the limit is.
 */
import { PlimsollError } from '#shared/api/errors.ts';

export type BodyFormat = 'gzip' | 'deflate';

/** By the name in `Content-Encoding`. `deflate` is zlib's format, as HTTP means it. */
const FORMATS: Readonly<Record<string, BodyFormat>> = { gzip: 'gzip', 'x-gzip': 'gzip', deflate: 'deflate' };

/**
 * The format of a body with this `Content-Encoding`; null if it is as it is. Throws
 * `unsupported_content_encoding` for one that we do not read. Call this before the body is read.
 */
export function bodyFormat(contentEncoding: string | null): BodyFormat | null {
  const encoding = (contentEncoding ?? '').trim().toLowerCase();
  if (encoding === '' || encoding === 'identity') return null;
  const format = Object.hasOwn(FORMATS, encoding) ? FORMATS[encoding] : undefined;
  if (format !== undefined) return format;
  throw new PlimsollError(
    'unsupported_content_encoding',
    "The 'Content-Encoding' of your request is not supported: expected gzip, deflate or none.",
    { param: 'Content-Encoding' },
  );
}

/** The pieces of the plain body; null as soon as they have more than `maxBytes`. */
export async function decompress(
  pieces: readonly Uint8Array[],
  { format, maxBytes }: { format: BodyFormat; maxBytes: number },
): Promise<Uint8Array[] | null> {
  const plain: Uint8Array[] = [];
  let bytes = 0;
  try {
    // Leaving the loop cancels the stream.
    for await (const piece of new Blob([...pieces]).stream().pipeThrough(new DecompressionStream(format))) {
      bytes += piece.byteLength;
      if (bytes > maxBytes) return null;
      plain.push(piece);
    }
  } catch (cause) {
    throw new PlimsollError(
      'invalid_request',
      `We could not read the body of your request: it is not valid ${format}, as its 'Content-Encoding' says.`,
      { param: 'Content-Encoding', cause },
    );
  }
  return plain;
}
