/** No longer texts of a client are quoted: an error is no place for them. */
const MOST_QUOTED = 64;

export function shortText(text: string): string {
  return text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED)}...`.toWellFormed();
}
