"""第 9 课  部署：自己的网页和 API

教什么：训练好的分类器怎么给别人用。读回模型，一个地址配一个函数，一直服务到 Ctrl-C，就是部署。
一个进程，只听本机：网页给人用，API 给程序用，协议和 demo01 的 07_local_api.py --full 是同一份代码。

怎么运行：先训练（train.py），再
    python demo02_sentiment/09_serve.py            浏览器打开它打印的网址
    python demo02_sentiment/09_serve.py --port 0   端口被占了，自动挑一个
    python demo02_sentiment/09_serve.py --onnx     用导出的 ONNX 算，学完第 11 课再试
按 Ctrl-C 停止（PyCharm 里点红色方块）。

会看到：
    ── 1. 读回训练好的模型
    模型 models/tiny-bert-chinese，权重 …best.pth
    验证精度 0.8625
    ── 2. 一个数怎么读成正向、负向
    正向的概率  过了 0.5 吗  过了 0.9 吗
        93.8 %        是          是      房间很干净，服务也好，离地铁站走路五分钟，下次还来
         9.7 %        否          否      等了一个小时才上菜，鱼还是凉的，服务员爱理不理，再也不来了
        50.1 %        是          否      美女你好，可以加个微信吗
         3.8 %        否          否      不可以
    ── 3. 一个地址配一个函数
    /models/sentiment、/classify、/explain、/table、/info、/health，和网页要的几个文件
    ── 4. 一直服务到 Ctrl-C
    网页  http://127.0.0.1:8000
    API   POST http://127.0.0.1:8000/models/sentiment   text-classification
    …
    Ctrl-C 停止，下一步：python demo02_sentiment/10_pictures.py

看什么：网页的例子里也有这几句，点一句，再点几个词看它们各推动了多少；「一批评论」里选一个文件试试。
从别的程序里用，两行：
    from huggingface_hub import InferenceClient
    InferenceClient(model="http://127.0.0.1:8000/models/sentiment").text_classification("房间很干净，服务也好，下次还来")
curl、PowerShell、C# 和别的语言怎么写，见 docs/08-api.md：POST {"inputs": "…"}，
回 [[{"label": "正向", "score": 0.975}, …]]，分数高的在前。

网页是 page/ 里的三个文件（HTML、CSS、JavaScript），一个外面的请求都没有，断网也能用，读完就懂。
"""

from backstage.batching import BatchingClassifier
from backstage.page_routes import NAME, make_sentiment_app
from course.api import serve_until_stopped
from course.cli import run, step
from course.paths import command

PORT = 8000
# 后两句不是评论：讲课时拿它们试的是商用的情感 API。这里的模型没有学过这样的话，说的数当不得真
EXAMPLES = [  # 网页的例子里也有它们
    "房间很干净，服务也好，离地铁站走路五分钟，下次还来",
    "等了一个小时才上菜，鱼还是凉的，服务员爱理不理，再也不来了",
    "美女你好，可以加个微信吗",
    "不可以",
]
THRESHOLDS = (0.5, 0.9)


def main(args) -> None:
    if args.onnx:
        import onnxruntime  # noqa: F401  可选的包，没有装的话现在就说

    step("1. 读回训练好的模型")
    #    只在启动时做一次，不是每个请求读一次
    #    Batching：一批 8 条比 8 次 1 条快（矩阵越大，处理器越忙得起来），所以一批正在算的时候
    #    新来的请求先排着，算完把排着的凑成下一批；没有人排队时一条也不等
    #    --onnx：同一个模型，换 ONNX Runtime 在 CPU 上算，一条一条地，不凑批。PyTorch 一个算子一个
    #    算子地调，句子短时大半时间花在调用上；它整张图一次调完，所以短句快。问的人多了是凑批的快，
    #    见 benchmarks/README.md。启动时两个引擎先对一遍，概率一样才用
    classifier = BatchingClassifier(args.weights, args.labels, onnx=args.onnx)
    engine = "，由 ONNX Runtime 算" if args.onnx else ""
    print(f"模型 {classifier.record['model']}，权重 {args.weights}{engine}")
    score = classifier.record["validation_accuracy"]
    print(f"验证精度 {'没有记' if score is None else f'{score:.4f}'}")

    step("2. 一个数怎么读成正向、负向")
    #    两类的概率加起来是 1，只看正向的那个就够，过了门槛算正向
    #    不少商用的情感 API 只给这一个数。门槛通常是 0.5，也就是"哪一类大听哪一类"，和网页、API
    #    给的 label 一样；门槛不用训练，按用途挑：要放上首页的好评宁可少几条，也不能混进差评，就
    #    提到 0.9
    #    网页还多一档：第一名不到第二名的 1.5 倍（两类时就是不到 0.6），就说"拿不准"
    #    （头一次算要做些准备，在这里算过，第一个请求就不慢）
    probabilities = classifier.probabilities(EXAMPLES)
    if len(classifier.labels) == 2:
        print(f"{classifier.labels[-1]}的概率  " + "  ".join(f"过了 {t} 吗" for t in THRESHOLDS))
        for text, p in zip(EXAMPLES, probabilities[:, -1].tolist(), strict=True):
            read = ["是" if p >= threshold else "否" for threshold in THRESHOLDS]
            print(f"    {100 * p:4.1f} %        {'          '.join(read)}      {text}")
    else:
        print(f"共 {len(classifier.labels)} 类，取概率最大的一类")

    step("3. 一个地址配一个函数")
    #    写法就是第一个 demo 的 07_local_api.py 里的：@app.post("/classify") 下面一个函数。这里的
    #    几个都在 backstage/page_routes.py 里，先看 make_sentiment_app 的 classify，十行
    app = make_sentiment_app(classifier, args.weights, args.public_url)
    print(f"/models/{NAME}、/classify、/explain、/table、/info、/health，和网页要的几个文件")

    step("4. 一直服务到 Ctrl-C")

    #    只听 127.0.0.1，别的电脑连不上。要给别人用，前面放一个 nginx（见 docs/08-api.md），
    #    再用 --public-url 说别人敲的是什么地址：不认识的 Host 会被拒绝，别的网站才不能借你的
    #    浏览器来访问
    def announce(url: str) -> None:
        print(f"网页  {url}")
        print(f"API   POST {url}/models/{NAME}   {classifier.task}")
        print(f"      GET  {url}/health   活着吗    GET {url}/info   模型的介绍")
        print(f"      浏览器打开 {args.public_url or url}/docs   可以直接点着试的文档")
        pictures = command("demo02_sentiment/10_pictures.py")
        print(f"Ctrl-C 停止，下一步：{pictures}", flush=True)

    serve_until_stopped(app, args.port, announce)

    # 小结：训练好的模型 + 一个协议 = 服务；同一条路算概率，网页、API、文件、命令行说的都一样
    #
    # 练习 1：在 page/page.js 的 EXAMPLES 里加上你自己的句子，刷新网页
    # 练习 2：照着 /classify 加一个地址 GET /count，返回启动以来一共判断了几条；在 /docs 里点它试试
    # 动手：python exercises/check.py demo02/09


if __name__ == "__main__":
    run(main, "weights", "labels", port=PORT, public_url="", onnx=False)
