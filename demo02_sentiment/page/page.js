// 网页的全部动作：问本机的 09_serve.py，把回答画出来。没有别的库，不访问别的网站

const EXAMPLES = [ // 自己的数据训练的，例子由服务器从数据里挑
  "房间很干净，服务也好，离地铁站走路五分钟，下次还来",
  "等了一个小时才上菜，鱼还是凉的，服务员爱理不理，再也不来了",
  "外观不错，就是电池不耐用，用了半年只能撑两个小时",
  "美女你好，可以加个微信吗", // 后两句不是评论，模型没有学过这样的话
  "不可以",
];
const LONGEST = 10000; // 一条最多多少个字；模型只看开头 500 个 token 左右，再长没有用
const BATCH = 32; // 一批评论时，一次请求送几条
const BATCH_CHARS = 10000; // 一次请求最多多少个字，服务器一个请求最多收 64 KB
const LONGEST_WORDS = 5000; // 再长就不把切好的词也送去了，一个请求最多 64 KB
const SHOWN = 200; // 表格最多画几行，下载的文件里是全部
const UNSURE = 1.5; // 第一名不到第二名的几倍就说拿不准，一句话和一批都是；两类时 1.5 倍就是 60 %
const BARS = 10; // 一句话的结论最多画几类
const FLOOR = 0.5; // 推动最大的一段不到它，就不把它画成最深：免得把噪声画成大事

const $ = (id) => document.getElementById(id);
const percent = (p) => `${(100 * p).toFixed(1)} %`;

/** 造一个元素；文字一律用 textContent，评论里写了 <script> 也只是文字 */
function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function showError(id, message) {
  $(id).textContent = message;
  $(id).hidden = !message;
}

/** 请求本机的服务器，body 是一个文件，或要变成 JSON 的东西；出错时抛一句能给人看的话 */
async function ask(path, body, signal) {
  const isFile = body instanceof File;
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": isFile ? "application/octet-stream" : "application/json" },
      body: isFile ? body : JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("连不上服务器：运行 09_serve.py 的那个窗口还开着吗？");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) {
    throw new Error(answer?.error ?? `服务器答了 ${response.status}，看不懂`);
  }
  return answer;
}

// 服务器的介绍：标签的名字、哪个模型、精度多少
let labels = ["负向", "正向"];
let biggestFile = Infinity; // 字节
let shortest = 0; // 不到几个字就说太短，数在 page_routes.py 的 SHORT
let seen = 0; // 一条最多看几个 token
async function readInfo() {
  const response = await fetch("info");
  const info = await response.json();
  labels = info.labels;
  readFilters();
  biggestFile = info.max_file;
  shortest = info.short;
  seen = info.max_length;
  if (labels.join() !== "负向,正向") { // 别的分类：说评论的地方换成别的说法
    for (const node of document.querySelectorAll("[data-other]")) node.textContent = node.dataset.other;
    document.title = "文本分类：是哪一类，为什么";
  }
  $("mistake").hidden = !info.built_in;
  showExamples(info.built_in ? EXAMPLES : info.examples);
  $("about").textContent =
    `模型 ${info.encoder}，权重 ${info.weights}，` +
    (info.validation_accuracy === null ? "" : `验证精度 ${percent(info.validation_accuracy)}，`) +
    `一条最多看 ${seen} 个 token。全部在这台电脑上算，不联网。` +
    (info.built_in ? "它学的是评论，不像评论的话" : `它学的是 ${info.data ?? "别的数据"} 里的，和那些不像的`) + "，结果只供参考。";
}

/** 两类时 0 号用负向的颜色；多于两类都用同一种颜色 */
const colour = (label) => (labels.length === 2 && label === labels[0] ? "is-negative" : "is-positive");

/** 一行：名字、条、数字 */
function addBar(list, label, share, number) {
  const fill = make("div", `fill ${colour(label)}`);
  const track = make("dd");
  track.append(make("div", "track"));
  track.firstChild.append(fill);
  list.append(make("dt", "", label), track, make("dd", "number", number));
  requestAnimationFrame(() => { fill.style.width = `${100 * share}%`; });
}

// ---------- 一句话 ----------

/** 第一名和第二名差得不够多 */
function tooClose(probabilities) {
  const [first, second] = [...probabilities].sort((a, b) => b - a);
  return first < UNSURE * second;
}

/** 给人看的结论：差得不够多就说拿不准 */
const conclusion = (label, probabilities) => (tooClose(probabilities) ? `拿不准，略偏${label}` : label);

/** 太长的那句话：一句话、表格、总数里都这样说 */
const cutNote = () => `太长，只看了开头 ${seen} 个 token`;

function showVerdict(text, { label, probabilities, note }) {
  $("verdict-label").textContent = conclusion(label, Object.values(probabilities));
  $("verdict-label").className = colour(label);
  $("verdict-score").textContent = percent(probabilities[label]);
  const short = [...text].length < shortest;
  $("verdict-note").textContent = note === "截断" ? cutNote()
    : short ? `不到 ${shortest} 个字，它学过的很少有这么短的，结果只供参考` : "";
  $("verdict-note").hidden = !$("verdict-note").textContent;
  $("bars").replaceChildren();
  const scores = Object.entries(probabilities).sort((a, b) => b[1] - a[1]);
  for (const [name, p] of scores.slice(0, BARS)) addBar($("bars"), name, p, percent(p));
  $("verdict").hidden = false;
  $("verdict").scrollIntoView({ block: "nearest" }); // 手机上、放大之后，结论可能在屏幕外面
}

/** 中文没有空格，浏览器自己会切词；老浏览器不会，服务器就一个字一段 */
function wordsOf(text) {
  if (!Intl.Segmenter || text.length > LONGEST_WORDS) return undefined;
  return [...new Intl.Segmenter("zh", { granularity: "word" }).segment(text)].map((one) => one.segment);
}

function showWhy(answer) {
  const { label, probabilities, empty, pieces } = answer;
  const before = probabilities[label];
  const largest = Math.max(0, ...pieces.map((piece) => Math.abs(piece.effect ?? 0)));
  const deepest = Number(getComputedStyle(document.documentElement).getPropertyValue("--deepest"));
  const opposite = labels.length === 2 ? `推向${labels.find((name) => name !== label)}` : `反对${label}`;
  $("why").classList.toggle("negative", colour(label) === "is-negative");
  const tail = answer.cut && pieces.at(-1).effect === null ? pieces.pop().text : "";

  const describe = (piece) => {
    const moved = Math.abs(piece.without - before) < 0.0005;
    const towards = piece.effect >= 0 ? `推向${label}` : opposite;
    return `「${piece.text.trim()}」${towards}，推动 ${Math.abs(piece.effect).toFixed(1)}；` +
      `只删掉它：${label} ${percent(before)}` + (moved ? "，几乎不变" : ` → ${percent(piece.without)}`);
  };
  const nodes = pieces.map((piece) => {
    if (piece.effect === null) return make("span", "", piece.text);
    const node = make("span", `piece ${piece.effect >= 0 ? "supports" : "opposes"}`, piece.text);
    const depth = Math.abs(piece.effect) / Math.max(largest, FLOOR);
    node.style.setProperty("--alpha", deepest * depth);
    node.style.setProperty("--line", `${Math.round(4 * depth)}px`); // 高对比度模式没有底色，用下划线
    node.title = describe(piece);
    node.tabIndex = 0;
    node.setAttribute("role", "button");
    node.setAttribute("aria-pressed", "false");
    const choose = () => {
      for (const other of nodes) if (other.role) other.setAttribute("aria-pressed", "false");
      node.setAttribute("aria-pressed", "true");
      $("detail").textContent = describe(piece);
      $("detail").classList.add("chosen");
    };
    node.addEventListener("click", choose);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose();
      }
    });
    return node;
  });
  const [start] = Object.entries(empty).sort((a, b) => b[1] - a[1]);
  $("start").textContent = `起点：一个字也没写时，${label} ${percent(empty[label])}` +
    (start[0] === label ? "" : `（偏${start[0]}）`) + `；写完整句，${percent(before)}`;
  $("sentence").className = "sentence";
  $("sentence").replaceChildren(...nodes);
  $("tail").hidden = !tail;
  $("tail").firstChild.textContent = `太长了，后面 ${[...tail].length} 个字模型没看到`;
  $("tail").lastChild.textContent = tail;
  $("detail").classList.remove("chosen");
  $("detail").textContent = largest < FLOOR
    ? "没有哪一段单独说了算，颜色都浅"
    : "点一个词，看它推动了多少";
  const legend = [["supports", `推向${label}`], ["opposes", opposite]].map(([name, text]) => {
    const item = make("span", "", text);
    item.prepend(make("i", name));
    return item;
  });
  $("legend").replaceChildren(...legend);
}

let running = new AbortController();
async function judge(text) {
  running.abort(); // 上一句还没答完就不等了，免得旧答案盖在新答案上
  running = new AbortController();
  const { signal } = running;
  showError("one-error", "");
  $("verdict").hidden = $("why").hidden = true; // 旧的结论不留在新的句子下面
  if (!text.trim()) return showError("one-error", "还没有写评论呢");
  if (text.length > LONGEST) {
    return showError("one-error", `太长了：有 ${text.length} 个字，最多 ${LONGEST} 个`);
  }
  try {
    const [answer] = await ask("classify", { texts: [text] }, signal);
    showVerdict(text, answer);
    $("sentence").className = "sentence waiting";
    $("sentence").textContent = text;
    $("detail").textContent = "正在一段一段地试 …";
    $("start").textContent = "";
    $("tail").hidden = true;
    $("legend").replaceChildren();
    $("why").hidden = false;
    showWhy(await ask("explain", { text, words: wordsOf(text) }, signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    showError("one-error", error.message);
    $("verdict").hidden = $("why").hidden = true;
  }
}

$("one-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (matchMedia("(pointer: coarse)").matches) $("text").blur(); // 手机上收起键盘，好看结果
  judge($("text").value);
});
$("text").addEventListener("keydown", (event) => {
  // isComposing：正在用输入法选字，这时的回车不是提交
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("one-form").requestSubmit();
  }
});
const countCharacters = () => { $("count").textContent = `${[...$("text").value].length} 字`; };
$("text").addEventListener("input", countCharacters);
function showExamples(examples) {
  for (const example of examples) {
    const chip = make("button", "", example);
    chip.type = "button";
    chip.addEventListener("click", () => writeAndJudge(example));
    $("examples").append(chip);
  }
  $("lines").placeholder = examples.slice(0, 2).join("\n");
}
function writeAndJudge(text) {
  $("text").value = text;
  countCharacters();
  judge(text);
}

// ---------- 一批评论 ----------

/** CSV 的一格：有逗号、引号、换行就放进引号 */
const quote = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

let upload = null; // 选的文件 {name, columns, rows, column}，没选时是 null
let judged = null; // 正在判断的、判断完的那一份 {name, columns, rows}，下载时要用
let results = [];
let reading = null; // 正在读文件时，是能叫停它的 AbortController

function forgetFile() {
  reading?.abort();
  reading = null;
  upload = null;
  $("file").value = "";
  $("file-name").textContent = "CSV、TSV、TXT、JSON、JSONL、Excel 或 Parquet，也可以拖到这里。只交给本机的 09_serve.py，不会上传到别处";
  $("column-row").hidden = $("clear").hidden = true;
  $("paste").hidden = false;
}

/** 文件原样交给服务器去读：认编码、认格式的代码只有一份，和 08_predict.py --file 的是同一份 */
async function readFile(file) {
  forgetFile();
  showError("many-error", "");
  reading = new AbortController();
  const { signal } = reading;
  try {
    if (file.size > biggestFile) {
      throw new Error(`文件超过 ${biggestFile / 1024 / 1024} MB，网页上算太慢，请用 08_predict.py --file`);
    }
    $("file-name").textContent = `正在读 ${file.name} …`;
    const table = await ask(`table?name=${encodeURIComponent(file.name)}`, file, signal);
    upload = { name: file.name, ...table };
    reading = null;
  } catch (error) {
    if (error.name === "AbortError") return;
    forgetFile();
    return showError("many-error", error.message);
  }
  $("column").replaceChildren(...upload.columns.map((name, i) => new Option(name || `第 ${i + 1} 列`, i)));
  $("column").value = upload.column;
  $("column-row").hidden = upload.columns.length < 2;
  $("clear").hidden = false;
  $("paste").hidden = true;
  $("file-name").textContent = `${file.name}，${upload.rows.length} 条` +
    (upload.columns.length === 1 && upload.columns[0] !== "text" ? `，第一行「${upload.columns[0]}」是列名` : "");
}

/** 32 条、一万字以内的一组一组；太长的先切短，切下的模型反正看不到 */
function* groups(texts) {
  let group = [], chars = 0;
  for (const text of texts.map((one) => (one.length > LONGEST ? one.trim().slice(0, LONGEST) : one))) {
    if (group.length === BATCH || (group.length && chars + text.length > BATCH_CHARS)) {
      yield group;
      group = []; chars = 0;
    }
    group.push(text);
    chars += text.length;
  }
  yield group;
}

const isUnsure = (one) => one.label !== null && tooClose(Object.values(one.probabilities));

function showTotals(total, started) {
  const counts = labels.map((label) => results.filter((one) => one.label === label).length);
  const notes = [
    [results.filter(isUnsure).length, "拿不准"],
    [results.filter((one) => one.note === "空").length, "是空的"],
    [results.filter((one) => one.note === "截断").length, cutNote()],
  ];
  $("summary").textContent = `${judged.name}：${results.length} / ${total} 条` +
    notes.filter(([count]) => count).map(([count, what]) => `，${count} 条${what}`).join("");
  $("totals").replaceChildren();
  labels.forEach((label, i) => addBar($("totals"), label, counts[i] / total, `${counts[i]} 条`));
  $("progress").max = total;
  $("progress").value = results.length;
  const left = ((performance.now() - started) / 1000 / results.length) * (total - results.length);
  $("left").textContent = results.length ? `还要大约 ${Math.ceil(left)} 秒` : "";
}

// 只看哪些 {名字: 要不要}，怎么排列 {名字: 谁在前}；空的没有概率，总排在最后
let filters = {}, sorts = {};
function readFilters() {
  const share = (one, label, none) => (one.label === null ? none : one.probabilities[label]);
  filters = { "全部": () => true };
  for (const label of labels) filters[label] = (one) => one.label === label;
  filters["拿不准"] = isUnsure;
  filters["空的、截断的"] = (one) => one.note !== "";
  sorts = {
    "原来的顺序": () => 0,
    "最拿不准的在前": (a, b) => share(a, a.label, 2) - share(b, b.label, 2),
    "最有把握的在前": (a, b) => share(b, b.label, -1) - share(a, a.label, -1),
  };
  if (labels.length === 2) {
    const [from, to] = labels;
    sorts[`从${from}到${to}`] = (a, b) => share(a, to, 2) - share(b, to, 2);
  }
  $("filter").replaceChildren(...Object.keys(filters).map((name) => new Option(name)));
  $("sort").replaceChildren(...Object.keys(sorts).map((name) => new Option(name)));
}

function showRows() {
  const chosen = results.filter(filters[$("filter").value]);
  chosen.sort(sorts[$("sort").value]); // filter 给的是新的列表，results 的顺序不变
  $("rows").replaceChildren(...chosen.slice(0, SHOWN).map((one) => {
    const line = make("tr");
    const p = one.label === null ? 0 : one.probabilities[one.label];
    const name = make("td", one.label ? colour(one.label) : "hint", one.label ? conclusion(one.label, Object.values(one.probabilities)) : one.note);
    const review = make("td");
    if (one.label) {
      const button = make("button", "review");
      button.append(make("span", "clamp", one.text));
      button.addEventListener("click", () => {
        select($("tab-one"));
        writeAndJudge(one.text);
      });
      review.append(button);
      if (one.note) review.append(make("p", "hint", cutNote()));
    }
    line.append(make("td", "hint", one.number), name, make("td", "", one.label ? percent(p) : ""), review);
    return line;
  }));
  $("more").hidden = chosen.length <= SHOWN && chosen.length === results.length;
  $("more").textContent = `表里是 ${Math.min(SHOWN, chosen.length)} 条（符合的 ${chosen.length} 条），下载的 CSV 里是全部 ${results.length} 条`;
}

let counting = null;
async function judgeAll(texts) {
  results = [];
  counting = new AbortController();
  const { signal } = counting;
  const button = $("many-form").querySelector(".primary");
  button.disabled = true;
  $("filter").selectedIndex = $("sort").selectedIndex = 0;
  $("table").hidden = $("stop").hidden = $("progress").hidden = $("left").hidden = false;
  $("download").hidden = true;
  const started = performance.now();
  showTotals(texts.length, started);
  showRows();
  try {
    for (const group of groups(texts)) {
      const answer = await ask("classify", { texts: group }, signal);
      const full = results.length >= SHOWN;
      answer.forEach((one, i) => {
        const note = one.note || (group[i].length < texts[results.length].trim().length ? "截断" : "");
        results.push({ ...one, note, text: group[i], number: results.length + 1 });
      });
      showTotals(texts.length, started);
      // 表满了、又没有挑和排，再画还是那几行；不重画，正在看的人不会跳
      if (!full || $("filter").selectedIndex || $("sort").selectedIndex) showRows();
    }
  } catch (error) {
    if (error.name !== "AbortError") showError("many-error", error.message);
  }
  $("stop").hidden = $("progress").hidden = $("left").hidden = true;
  $("download").hidden = results.length === 0;
  showRows();
  button.disabled = false;
}
for (const name of ["filter", "sort"]) $(name).addEventListener("change", showRows);

$("many-form").addEventListener("submit", (event) => {
  event.preventDefault();
  showError("many-error", reading ? "文件还没有读完，等一下再按" : "");
  if (reading) return;
  if (upload) {
    judged = upload;
    return judgeAll(upload.rows.map((row) => row[$("column").value]));
  }
  const lines = $("lines").value.split("\n").filter((line) => line.trim());
  if (!lines.length) return showError("many-error", "还没有评论：粘贴几行，或选一个文件");
  judged = { name: "粘贴的评论", columns: ["text"], rows: lines.map((line) => [line]) };
  judgeAll(lines);
});

$("download").addEventListener("click", () => {
  const added = ["predicted_label", ...labels.map((label) => `p_${label}`), "note"];
  const lines = results.map((one, i) => [
    ...judged.rows[i],
    one.label ?? "",
    ...labels.map((label) => (one.label ? one.probabilities[label].toFixed(6) : "")),
    one.note,
  ]);
  const table = [[...judged.columns, ...added], ...lines];
  const csv = table.map((row) => row.map(quote).join(",")).join("\r\n");
  // \ufeff 是 BOM：中文 Windows 的 Excel 靠它认出 UTF-8
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([`\ufeff${csv}\r\n`], { type: "text/csv" }));
  link.download = `${judged.name.replace(/\.\w+$/, "")}_predicted.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
$("stop").addEventListener("click", () => counting.abort());
$("clear").addEventListener("click", forgetFile);
$("file").addEventListener("change", () => { if ($("file").files[0]) readFile($("file").files[0]); });
for (const name of ["dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files[0]) readFile(event.dataTransfer.files[0]);
  });
}

// ---------- 两个标签页，左右方向键也能换 ----------

const tabs = [$("tab-one"), $("tab-many")];
function select(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
}
for (const [i, tab] of tabs.entries()) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    select(tabs[1 - i]);
    tabs[1 - i].focus();
  });
}

readFilters();
readInfo().catch(() => { $("about").textContent = "连不上服务器：运行 09_serve.py 的那个窗口还开着吗？"; });
