"""不是一课  03 和 05 用它带着看一个模型文件夹；运行时打印的就是讲解，第一遍不用读"""

import json
import re
from pathlib import Path

from course.models import load_tokenizer

FILES = {  # 文件名的样子 → 它是做什么的
    r"config\.json": "结构：几层、多宽、字典多大；没有它就不知道怎么搭模型",
    r"generation_config\.json": "续写时的默认参数",
    r"vocab\.txt": "字典：一行一个 token，行号（从 0 数）就是 id",
    r"tokenizer\.json": "分词器的全部规则和字典，读起来快的那种格式",
    r"tokenizer_config\.json": "分词器的设置：最多读多长、分不分大小写、用哪个类",
    r"special_tokens_map\.json": "特殊符号叫什么：[UNK] [SEP] [PAD] [CLS] [MASK]",
    r"added_tokens\.json": "后来加进字典的 token",
    r"model.*\.safetensors": "权重，新格式：只有数字，打开它不会执行任何代码",
    r"pytorch_model.*\.bin": "权重，旧格式（pickle）：里面可以夹带代码，只用信得过的来源",
    r".*\.index\.json": "权重分成了几个文件时的目录",
    r"tokenizer\.model|.*\.tiktoken": "字典，二进制格式：用记事本打不开，分词器自己会读",
    r"README\.md": "模型卡：谁做的、怎么用、许可证；用一个模型之前先读它",
    r".*\.part": "没下完的文件，再运行一次会接着下",
}
SPECIAL = {
    "unk_token": "不认识的字",
    "sep_token": "一句话的结尾，也隔开两句话",
    "pad_token": "补齐：一批句子要一样长",
    "cls_token": "一句话的开头，BERT 用它代表整句",
    "mask_token": "挖空让模型猜",
}


def size(path: Path) -> str:
    count = path.stat().st_size
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} KB"


def explain(name: str) -> str:
    return next((use for pattern, use in FILES.items() if re.fullmatch(pattern, name)), "")


def print_files(folder: Path, indent: str) -> None:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            print(f"{indent}{path.name:26}{size(path):>10}  {explain(path.name)}")


def print_cache_tree(root: str, cache: str, refs: str, blobs: str, revision: str) -> None:
    """cache_dir 留下的树，模型文件夹在最里面"""
    print(f"{root}/")
    print("    .locks/          下载时占位用的空文件，防止两个程序同时写；不用管它")
    print(f"    {cache}/")
    print(f"        refs/        每个分支现在指着哪个版本：{refs}")
    print(f"        blobs/       内容本身{blobs}，文件名是内容的指纹（哈希），相同的只存一份")
    print("        trees/       每个版本有哪些文件的清单，snapshot_download 才有；不用管它")
    print("        snapshots/   一个版本一个文件夹，里面是指向 blobs 的链接（Windows 上是实物）")
    print(f"            {revision}/   ← 模型文件夹：装着 config.json 的那个")


def tour(place: str | Path) -> None:
    """打印文件夹的树和讲解；place 是装着 config.json 的那个"""
    folder = Path(place)
    # 1. 树。cache_dir 下载的，外面还套着几层
    if folder.parent.name == "snapshots":
        cache = folder.parent.parent
        refs = [
            f"{ref.name} → {ref.read_text(encoding='utf-8')[:12]}…"
            for ref in (cache / "refs").glob("*")
        ]
        blobs = [path for path in (cache / "blobs").glob("*") if path.suffix != ".part"]
        print_cache_tree(
            str(cache.parent),
            cache.name,
            "、".join(refs),
            f"（{len(blobs)} 个文件）",
            folder.name,
        )
        print_files(folder, " " * 16)
    else:
        print(f"{folder}/   ← 模型文件夹：装着 config.json 的那个")
        print_files(folder, "    ")
        print("\n用 cache_dir 下载的，外面还套着几层：")
        print_cache_tree("models", "models--组织--名字", "main → 版本号", "", "版本号")

    # 2. config.json 里最常看的几行。GPT-2 的名字不同：n_positions、n_embd、n_layer
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    print("\nconfig.json：")
    for names, use in (
        (("architectures",), "用哪个类搭模型"),
        (("vocab_size",), "字典有多少项（vocab.txt 的行数）；哪个模型都有限，DeepSeek 也一样"),
        (("hidden_size", "n_embd"), "每个 token 变成多少个数"),
        (("num_hidden_layers", "n_layer"), "几层"),
        (("num_attention_heads", "n_head"), "每层几个注意力头"),
        (("max_position_embeddings", "n_positions"), "最多读多少个 token，再长就没有位置向量了"),
    ):
        for name in names:
            if name in config:
                print(f"    {name:24}{config[name]!s:22}{use}")

    # 3. 字典和特殊符号
    tokenizer = load_tokenizer(folder)
    print(f"\n字典：{len(tokenizer)} 项，", end="")
    print("，".join(f"{tokenizer.convert_ids_to_tokens(i)} 是 {i}" for i in (872, 1962)))
    for name, use in SPECIAL.items():
        symbol = getattr(tokenizer, name)
        print(f"    {symbol:7} id {tokenizer.convert_tokens_to_ids(symbol):>3}  {use}")
    limit = tokenizer.model_max_length
    print(f"    一次最多 {limit} 个 token（tokenizer_config.json 的 model_max_length）；", end="")
    print("真的 GPT-2 是 1,024 个，BERT 是 512 个")
