import type { OpenedFile } from './download-file.ts';
import { type Sending, send } from './send.ts';

/** Opens a plain http(s) address for `downloadFile`. Throws if `url` is none. */
export function openUrl(url: string, sending: Sending): (headers: Record<string, string>) => Promise<OpenedFile> {
  return async (headers) => {
    const { response } = await send(url, { headers, token: null, advice: () => '' }, sending);
    return { response, statedEtag: null };
  };
}
