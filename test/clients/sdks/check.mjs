/** Runs what a client's program tries, one after the other, and prints a line of JSON for each. */
export const url = `${process.env.PLIMSOLL_URL}/v1`;
export const key = process.env.PLIMSOLL_KEY;
export const model = process.env.PLIMSOLL_MODEL;
export const question = 'How do I clean a pan?';

/** A check fails if `work` throws. */
export async function check(what, work) {
  try {
    await work();
    console.log(JSON.stringify({ what }));
  } catch (error) {
    console.log(JSON.stringify({ what, failed: String(error?.stack ?? error) }));
  }
}
