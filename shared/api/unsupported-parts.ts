/**
 * Refuses what messages have besides text: images, sound and files, and fields of theirs that this
 * server cannot honour.
 */
import { PlimsollError } from './errors.ts';
import { refuseUnsupported, type Unsupported } from './unsupported-fields.ts';

/** What the types of parts are called, for people. */
const KINDS: Readonly<Record<string, string>> = {
  image_url: 'Images',
  input_image: 'Images',
  input_audio: 'Sounds',
  audio_url: 'Sounds',
  video_url: 'Videos',
  file: 'Files',
  input_file: 'Files',
};

export function refuseOtherParts(body: unknown, table: Unsupported): void {
  if (typeof body !== 'object' || body === null || !('messages' in body) || !Array.isArray(body.messages)) return;
  for (const [i, message] of body.messages.entries()) {
    refuseUnsupported(message, table, `messages[${i}].`);
    const content: unknown = typeof message === 'object' && message !== null ? message.content : undefined;
    for (const [j, part] of Array.isArray(content) ? content.entries() : []) {
      const type: unknown = typeof part === 'object' && part !== null ? part.type : undefined;
      if (typeof type !== 'string' || !Object.hasOwn(KINDS, type)) continue;
      const param = `messages[${i}].content[${j}].type`;
      throw new PlimsollError(
        'unsupported_value',
        `${KINDS[type]} are not supported by this server. Invalid value for '${param}': expected "text", found "${type}".`,
        { param },
      );
    }
  }
}
