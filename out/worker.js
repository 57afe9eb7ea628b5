import { Engine, FanlightError, said } from './fanlight.js';

const port = ((globalThis));
let engine;

port.onmessage = async ({ data: { id, tag, args } }) => {
try {
let value;
if (tag === 'open') {
engine = await Engine.open(args[0], {
...args[1],
onProgress: (progress) => port.postMessage({ id, progress }),
}, args[2]);
value = engine.about;
value.info.worker = true;
const { core, about: { info } } = engine;
core.changed = () => port.postMessage({ info });
} else {
value = await engine[(tag)](...(args));
}
const give = tag === 'run' ? Object.values(value).map(({ data }) => data.buffer) : [];
port.postMessage({ id, value }, give);
if (tag === 'close') close();
} catch (error) {
const { code, reason, expected, received, where, next } = (error);
port.postMessage({
id, error: [code ?? 'E-WEB-020', reason ?? said(error), { expected, received, where, next }],
});
}
};
port.postMessage({ id: 0 });
