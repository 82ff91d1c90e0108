// 不是一课：11_export.py --onnx 导出的模型，在 Node.js 里用，不要 Python；浏览器里的写法一样
//
// 在仓库根目录运行：
//     npm install --no-save @huggingface/transformers
//     （卡在 api.nuget.org 的话，先设环境变量 ONNXRUNTIME_NODE_INSTALL_CUDA=skip：它要下的是显卡用的那份）
//     node demo02_sentiment/onnx_in_node.cjs 房间很干净，服务也好，下次还来
// 会看到的概率和 08_predict.py 的一样：
//     正向  97.5%  房间很干净，服务也好，下次还来
// 模型在别处时先设环境变量 MODEL=导出的文件夹

const fs = require("node:fs");
const path = require("node:path");

const trained = path.join(__dirname, "..", "params", "review-sentiment-zh");
const folder = path.resolve(process.env.MODEL || trained);

function stop(problem, nextStep) {
  console.error(`出错了：${problem}\n下一步：${nextStep}`);
  process.exit(1);
}

if (!fs.existsSync(path.join(folder, "onnx", "model.onnx"))) {
  stop(`${folder} 里没有 onnx/model.onnx`, "python demo02_sentiment/11_export.py --onnx");
}
try {
  require.resolve("@huggingface/transformers");
} catch {
  stop("没有装 @huggingface/transformers", "npm install --no-save @huggingface/transformers");
}
const { env, pipeline } = require("@huggingface/transformers");

async function main() {
  // 默认去 Hub 上下载；只许读本机的文件夹，断网也能用
  env.allowRemoteModels = false;

  // 它到文件夹里找 config.json、tokenizer.json 和 onnx/model.onnx；
  // 浏览器里默认找量化过的 model_quantized.onnx，我们只有 fp32 的，所以写明 dtype
  const classify = await pipeline("text-classification", folder, { dtype: "fp32" });

  // 太长的自己截断：它截到 model_max_length 个 token 时把末尾的 [SEP] 也截掉了，概率就变了
  const { tokenizer } = classify;
  const room = tokenizer.model_max_length - 2; // [CLS] 和 [SEP] 各占一个
  for (const text of process.argv.slice(2)) {
    const ids = tokenizer.encode(text, { add_special_tokens: false });
    const start = ids.length > room ? tokenizer.decode(ids.slice(0, room)) : text;
    const [best] = await classify(start); // 要每一类的概率：classify(start, { top_k: null })
    console.log(`${best.label}  ${(100 * best.score).toFixed(1)}%  ${text}`);
  }
}

main();
