package storetest

func denseTexts(s *suite) {
	japanese := s.wordy("命名規則", "変数名はキャメルケースで書く。")
	chinese := s.wordy("数据库迁移", "数据库迁移必须可回滚。")
	mixed := s.wordy("Mixed", "第三步 执行format-all再提交")
	korean := s.wordy("데이터베이스 연결", "연결을 닫는다")
	thai := s.wordy("ฐานข้อมูล", "การเชื่อมต่อ")
	s.found("命名", japanese)
	s.found("キャメル", japanese)
	s.found("数据库", chinese)
	s.found("回滚", chinese)
	s.found("format-all", mixed)
	s.found("提交", mixed)
	s.found("베이스", korean)
	s.found("연결", korean)
	s.found("ข้อมูล", thai)
	s.found(`"数据库迁移"`, chinese)
	s.found(`"数据库回滚"`)
}
