/**
 * onnxruntime-node reports to its makers unless the variable below is set before it is loaded: it
 * looks up one of their hosts and writes a device id into the user's cache folder. It reads the
 * environment of the process, which a thread cannot change. So code that starts a thread with
 * onnxruntime must import this file first, in the main thread.
 */
import { isMainThread } from 'node:worker_threads';

if (isMainThread) process.env.ORT_DISABLE_TELEMETRY = '1';
