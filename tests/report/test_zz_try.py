from miso_gen.report.comparison import *
def test_it(results):
    import time
    t=time.time()
    print([p.name for p in write_tables(results,"/tmp/tabt")]); print(time.time()-t)
    open("/tmp/tabt/all.html","w").write(comparison_html(results))
